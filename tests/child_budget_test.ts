import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ChildBudget, type Share } from "../lib/admission/child_budget.ts";

/** A service that takes a child whenever it may and wants one. */
class Service implements Share {
  active = 0;
  resumed = 0;
  readonly #budget: ChildBudget;

  constructor(budget: ChildBudget, readonly maxConnections = 1000) {
    this.#budget = budget;
    budget.join(this);
  }

  take(): boolean {
    const mayTake = this.active < this.maxConnections && this.#budget.allows(this);
    if (mayTake) this.active++;
    return mayTake;
  }

  takeAll(): number {
    while (this.take());
    return this.active;
  }

  end(): void {
    this.active--;
    this.#budget.released();
  }

  resume(): void {
    this.resumed++;
  }
}

Deno.test("without a limit a service may have any number of children", () => {
  const service = new Service(new ChildBudget());
  assertEquals(service.takeAll(), 1000);
});

Deno.test("one service alone may have the whole budget", () => {
  assertEquals(new Service(new ChildBudget(10)).takeAll(), 10);
});

Deno.test("a flooded service leaves to each of the others its part of half the budget", () => {
  const budget = new ChildBudget(40);
  const [flooded, second, third, fourth] = Array.from({ length: 4 }, () => new Service(budget));
  assertEquals(flooded!.takeAll(), 40 - 3 * 5);
  assertEquals([second!, third!, fourth!].map((service) => service.takeAll()), [5, 5, 5]);
  assertEquals(flooded!.take(), false);
});

Deno.test("a part is no larger than what its service may have", () => {
  const budget = new ChildBudget(40);
  new Service(budget, 1);
  assertEquals(new Service(budget).takeAll(), 39);
});

Deno.test("a child that ends lets the service with the fewest children go on first", () => {
  const budget = new ChildBudget(4);
  const order: string[] = [];
  const [many, few] = [new Service(budget), new Service(budget)];
  many.resume = () => order.push("many");
  few.resume = () => order.push("few");
  few.take();
  many.takeAll();
  many.end();
  assertEquals(order, ["few", "many"]);
});

Deno.test("a service that has left has no part any more, and a new limit lets others go on", () => {
  const budget = new ChildBudget(10);
  const [gone, left] = [new Service(budget), new Service(budget)];
  assertEquals(left.takeAll(), 8);
  budget.leave(gone);
  assertEquals(left.takeAll(), 10);
  budget.limit = 20;
  assertEquals([left.resumed > 0, left.takeAll()], [true, 20]);
});

Deno.test("nothing is reserved for a service that is being stopped, and its children count", () => {
  const budget = new ChildBudget(3);
  const [stopped, ...others] = Array.from({ length: 4 }, () => new Service(budget));
  budget.limit = 4;
  stopped!.take();
  budget.limit = 3;
  budget.retire(stopped!);
  assertEquals(others.map((service) => service.take()), [true, true, false]);
  stopped!.end();
  budget.leave(stopped!);
  assertEquals(others.map((service) => service.take()), [false, false, true]);
});

Deno.test("whatever is taken and ended, the limit holds and every service can have its part", () => {
  const steps = fc.array(fc.tuple(fc.nat(3), fc.boolean()), { maxLength: 200 });
  fc.assert(fc.property(fc.integer({ min: 4, max: 40 }), steps, (limit, steps) => {
    const budget = new ChildBudget(limit);
    const services = Array.from({ length: 4 }, () => new Service(budget));
    for (const [index, takes] of steps) {
      const service = services[index]!;
      const hadPart = service.active >= Math.max(1, Math.floor(limit / 8));
      if (takes) assert(service.take() || hadPart);
      else if (service.active > 0) service.end();
      assert(services.reduce((sum, { active }) => sum + active, 0) <= limit);
    }
  }));
});
