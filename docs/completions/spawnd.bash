# bash completion for spawnd. Written by `deno task docs`; do not edit.
# To install it, copy this file to ~/.local/share/bash-completion/completions/spawnd.
# Without the package bash-completion, source it in ~/.bashrc.

# Prints what the option $1 can have as its argument, beginning with $2.
_spawnd_values() {
  case $1 in
    --unix|--cert|--key|--client-ca|-c|--config) compgen -f -- "$2" ;;
    --ws-mode) compgen -W "lines text bytes" -- "$2" ;;
    --tls-min) compgen -W "1.2 1.3" -- "$2" ;;
    --cwd) compgen -d -- "$2" ;;
    --user) compgen -u -- "$2" ;;
    --stop-signal) compgen -W "SIGTERM SIGHUP SIGINT SIGQUIT SIGUSR1 SIGUSR2" -- "$2" ;;
    --stderr) compgen -W "inherit log client null" -- "$2" ;;
    --grant) compgen -W "read write net env run sys ffi import" -- "$2" ;;
    --log-level) compgen -W "debug info warn error" -- "$2" ;;
    --log-format) compgen -W "text json journal" -- "$2" ;;
  esac
}

_spawnd() {
  local word option= handler= line=$COMP_LINE words=() tail=${COMP_WORDS[COMP_CWORD]}
  # Readline splits words at = and : too; here they are whole.
  for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    [[ $line == [[:space:]]* || ${#words[@]} == 0 ]] && words+=("")
    line=${line#"${line%%[![:space:]]*}"}
    words[${#words[@]}-1]+=$word
    line=${line#"$word"}
  done
  local current=${words[-1]}
  for word in "${words[@]:1:${#words[@]}-2}"; do
    if [[ $handler == -- ]]; then handler=program
    elif [[ $handler ]]; then continue
    elif [[ $option ]]; then option=
    else
      case $word in
        --) handler=-- ;;
        --listen|--host|-p|--port|--backlog|--unix|--accept-proxy|--websocket|--ws-mode|--ws-protocol|--origin|--ws-max-message|--ws-ping|--cert|--key|--client-ca|--alpn|--tls-min|--max-connections|--queue|--queue-timeout|--max-per-source|--rate-per-source|--rate|--exempt|--allow|--deny|--refusal|--banner|--handshake-timeout|--idle-timeout|--session-timeout|--eof-timeout|--kill-timeout|--drain-timeout|--warm|--send-proxy|--env|--cwd|--user|--uid|--gid|--stop-signal|--stderr|--grant|-c|--config|--max-children|--log-level|--log-format|--status) option=$word ;;
        -*) ;;
        *) handler=module ;;
      esac
    fi
  done
  if [[ ! $handler && ! $option && $current == --*=* ]]; then
    option=${current%%=*} current=${current#*=}
  fi
  [[ $tail == [=:]* ]] && tail=
  COMPREPLY=()
  if [[ $option ]]; then
    mapfile -t COMPREPLY < <(_spawnd_values "$option" "$current")
  elif [[ $handler == -- ]]; then
    mapfile -t COMPREPLY < <(compgen -c -- "$current")
  elif [[ $handler ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  elif [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "-- --listen --host -p --port --backlog --reuse-port --unix --no-keepalive --accept-proxy --websocket --ws-mode --ws-protocol --origin --ws-max-message --ws-ping --no-page --cert --key --client-ca --alpn --tls-min --max-connections --queue --queue-timeout --max-per-source --rate-per-source --rate --exempt --allow --deny --refusal --banner --handshake-timeout --idle-timeout --session-timeout --eof-timeout --kill-timeout --drain-timeout --warm --send-proxy --env --clear-env --cwd --user --uid --gid --no-group --leave --stop-signal --stderr --grant --check-types -c --config --check --once --max-children --log-level --log-format --status -h --help -V --version" -- "$current")
    return
  else
    mapfile -t COMPREPLY < <(
      compgen -d -- "$current"
      for word in ts js mts mjs tsx jsx; do compgen -f -X "!*.$word" -- "$current"; done
    )
  fi
  COMPREPLY=("${COMPREPLY[@]#"${current%"$tail"}"}")
  compopt -o filenames 2>/dev/null
}

complete -F _spawnd spawnd
