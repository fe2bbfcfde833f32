# fish completion for spawnd. Written by `deno task docs`; do not edit.
# To install it, copy this file to ~/.config/fish/completions/spawnd.fish.

# Prints what the words before the cursor end in: options, an argument of a module, or the command
# after --, whose words follow.
function __spawnd_place
    set -l words (commandline -opc)
    set -e words[1]
    set -l is_argument no
    while set -q words[1]
        set -l word $words[1]
        set -e words[1]
        if test $is_argument = yes
            set is_argument no
            continue
        end
        switch $word
            case --
                printf '%s\n' command $words
                return
            case --listen --host -p --port --backlog --unix --accept-proxy --websocket --ws-mode --ws-protocol --origin --ws-max-message --ws-ping --cert --key --client-ca --alpn --tls-min --max-connections --queue --queue-timeout --max-per-source --rate-per-source --rate --exempt --allow --deny --refusal --banner --handshake-timeout --idle-timeout --session-timeout --eof-timeout --kill-timeout --drain-timeout --warm --send-proxy --env --cwd --user --uid --gid --stop-signal --stderr --grant -c --config --max-children --log-level --log-format --status
                set is_argument yes
            case '-*'
            case '*'
                echo argument
                return
        end
    end
    echo options
end

function __spawnd_is_before_handler
    test (__spawnd_place)[1] = options
end

function __spawnd_modules
    __fish_complete_path (commandline -ct) |
        string match -r '^[^\t]*(?:/|\.(?:ts|js|mts|mjs|tsx|jsx))(?:\t.*)?$'
end

function __spawnd_folders
    __fish_complete_directories (string replace -r '^--[^=]*=' '' -- (commandline -ct))
end

function __spawnd_command
    set -l words (__spawnd_place)
    complete -C (string join ' ' -- (string escape -- $words[2..]) (commandline -ct))
end

complete -c spawnd -f
complete -c spawnd -n 'test (__spawnd_place)[1] = argument' -F
complete -c spawnd -n 'test (__spawnd_place)[1] = command' -a '(__spawnd_command)'
complete -c spawnd -n '__spawnd_is_before_handler' -a '(__spawnd_modules)'
complete -c spawnd -n '__spawnd_is_before_handler' -l listen -x -d 'address to listen on: HOST:PORT, :PORT for all IPv4 and IPv6 addresses, unix:PATH, or fd:N or fd:NAME for a socket passed by systemd; after ws:// for WebSockets'
complete -c spawnd -n '__spawnd_is_before_handler' -l host -x -d 'address or name to listen on; :: is IPv6 and IPv4'
complete -c spawnd -n '__spawnd_is_before_handler' -s p -l port -x -d 'TCP port; 0 takes a free one'
complete -c spawnd -n '__spawnd_is_before_handler' -l backlog -x -d 'connections the kernel holds until they are accepted'
complete -c spawnd -n '__spawnd_is_before_handler' -l reuse-port -d 'share the port with other servers (Linux)'
complete -c spawnd -n '__spawnd_is_before_handler' -l unix -r -F -d 'listen on this Unix socket'
complete -c spawnd -n '__spawnd_is_before_handler' -l no-keepalive -d 'do not have the kernel probe clients that say nothing'
complete -c spawnd -n '__spawnd_is_before_handler' -l accept-proxy -x -d 'proxies that send a PROXY header first, or over HTTP name their client in a header'
complete -c spawnd -n '__spawnd_is_before_handler' -l websocket -x -d 'listen for WebSockets on this address, at this path and below'
complete -c spawnd -n '__spawnd_is_before_handler' -l ws-mode -x -a 'lines text bytes' -d 'what a message is'
complete -c spawnd -n '__spawnd_is_before_handler' -l ws-protocol -x -d 'sub-protocol that a client may ask for'
complete -c spawnd -n '__spawnd_is_before_handler' -l origin -x -d 'pages that may connect besides those of this host and port, such as https://example.com, or * for all'
complete -c spawnd -n '__spawnd_is_before_handler' -l ws-max-message -x -d 'bytes of the largest message that a client may send'
complete -c spawnd -n '__spawnd_is_before_handler' -l ws-ping -x -d 'how often clients are pinged, and how long they have to answer; 0 is never'
complete -c spawnd -n '__spawnd_is_before_handler' -l no-page -d 'do not serve the console page to browsers'
complete -c spawnd -n '__spawnd_is_before_handler' -l cert -r -F -d 'speak TLS with this certificate chain, in PEM; of several, with the one for the name that a client asks for, by default the first'
complete -c spawnd -n '__spawnd_is_before_handler' -l key -r -F -d 'private key of each certificate, in PEM, in the same order'
complete -c spawnd -n '__spawnd_is_before_handler' -l client-ca -r -F -d 'serve only clients with a certificate from one of these, in PEM'
complete -c spawnd -n '__spawnd_is_before_handler' -l alpn -x -d 'protocol that TLS clients can choose, the preferred one first; those that offer only others are refused'
complete -c spawnd -n '__spawnd_is_before_handler' -l tls-min -x -a '1.2 1.3' -d 'lowest version of TLS'
complete -c spawnd -n '__spawnd_is_before_handler' -l max-connections -x -d 'connections served at once'
complete -c spawnd -n '__spawnd_is_before_handler' -l queue -x -d 'connections that may wait for a slot; 0 refuses at once'
complete -c spawnd -n '__spawnd_is_before_handler' -l queue-timeout -x -d 'how long a connection waits for a slot'
complete -c spawnd -n '__spawnd_is_before_handler' -l max-per-source -x -d 'connections of one source; 0 is no limit'
complete -c spawnd -n '__spawnd_is_before_handler' -l rate-per-source -x -d 'new connections of one source: N at once, then N in SECONDS, or a second, evenly spread; 0 is no limit'
complete -c spawnd -n '__spawnd_is_before_handler' -l rate -x -d 'how many clients of all sources together may begin to be served: N at once, then N in SECONDS, or a second, evenly spread; others wait; 0 is no limit'
complete -c spawnd -n '__spawnd_is_before_handler' -l exempt -x -d 'do not apply the limits of a source to this network'
complete -c spawnd -n '__spawnd_is_before_handler' -l allow -x -d 'admit only clients in this network'
complete -c spawnd -n '__spawnd_is_before_handler' -l deny -x -d 'refuse clients in this network, even if --allow includes them'
complete -c spawnd -n '__spawnd_is_before_handler' -l refusal -x -d 'what a refused client is sent'
complete -c spawnd -n '__spawnd_is_before_handler' -l banner -x -d 'what a client is sent first when it is served'
complete -c spawnd -n '__spawnd_is_before_handler' -l handshake-timeout -x -d 'for a TLS handshake, a PROXY header or a WebSocket\'s request'
complete -c spawnd -n '__spawnd_is_before_handler' -l idle-timeout -x -d 'without a byte in either direction; 0 is no limit'
complete -c spawnd -n '__spawnd_is_before_handler' -l session-timeout -x -d 'for a whole connection; 0 is no limit'
complete -c spawnd -n '__spawnd_is_before_handler' -l eof-timeout -x -d 'without output after the end of input; 0 is no limit'
complete -c spawnd -n '__spawnd_is_before_handler' -l kill-timeout -x -d 'wait after end of input, and again after the stop signal'
complete -c spawnd -n '__spawnd_is_before_handler' -l drain-timeout -x -d 'for open connections at shutdown'
complete -c spawnd -n '__spawnd_is_before_handler' -l warm -x -d 'children started ahead of their clients; by default at most --max-connections'
complete -c spawnd -n '__spawnd_is_before_handler' -l send-proxy -x -d 'PROXY header that a child reads first: 1 is text, 2 is binary, 0 sends none'
complete -c spawnd -n '__spawnd_is_before_handler' -l env -x -d 'set this variable in the children\'s environment'
complete -c spawnd -n '__spawnd_is_before_handler' -l clear-env -d 'children inherit only PATH, HOME, LANG, LC_* and TZ'
complete -c spawnd -n '__spawnd_is_before_handler' -l cwd -x -a '(__spawnd_folders)' -d 'working directory of the children'
complete -c spawnd -n '__spawnd_is_before_handler' -l user -x -a '(__fish_complete_users)' -d 'user that children run as, without supplementary groups'
complete -c spawnd -n '__spawnd_is_before_handler' -l uid -x -d 'user id that children run as'
complete -c spawnd -n '__spawnd_is_before_handler' -l gid -x -d 'group id that children run as'
complete -c spawnd -n '__spawnd_is_before_handler' -l no-group -d 'children stay in the server\'s process group'
complete -c spawnd -n '__spawnd_is_before_handler' -l leave -d 'leave alone what a child leaves behind'
complete -c spawnd -n '__spawnd_is_before_handler' -l stop-signal -x -a 'SIGTERM SIGHUP SIGINT SIGQUIT SIGUSR1 SIGUSR2' -d 'first signal that a child is stopped with'
complete -c spawnd -n '__spawnd_is_before_handler' -l stderr -x -a 'inherit log client null' -d 'where the children\'s stderr goes'
complete -c spawnd -n '__spawnd_is_before_handler' -l grant -x -a 'read write net env run sys ffi import' -d 'give a module this permission of Deno, and no others'
complete -c spawnd -n '__spawnd_is_before_handler' -l check-types -d 'check the types of a module at the start and at SIGHUP; it takes a second'
complete -c spawnd -n '__spawnd_is_before_handler' -s c -l config -r -F -d 'serve the services of this configuration file'
complete -c spawnd -n '__spawnd_is_before_handler' -l check -d 'print what would be served, or everything that is wrong, and exit'
complete -c spawnd -n '__spawnd_is_before_handler' -l once -d 'serve one client, then exit with its handler\'s exit code'
complete -c spawnd -n '__spawnd_is_before_handler' -l max-children -x -d 'children over all services, warm ones too; 0 is no limit'
complete -c spawnd -n '__spawnd_is_before_handler' -l log-level -x -a 'debug info warn error' -d 'the least important level that is logged'
complete -c spawnd -n '__spawnd_is_before_handler' -l log-format -x -a 'text json journal' -d 'log format; by default journal if stderr is the systemd journal, else text'
complete -c spawnd -n '__spawnd_is_before_handler' -l status -x -d 'serve a status page and metrics over HTTP, on 127.0.0.1 unless a host is given'
complete -c spawnd -n '__spawnd_is_before_handler' -s h -l help -d 'print a summary and exit'
complete -c spawnd -n '__spawnd_is_before_handler' -s V -l version -d 'print the version and exit'
