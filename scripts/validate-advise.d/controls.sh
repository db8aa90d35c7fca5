# The programs that must not come out YES. Sourced by scripts/validate-advise.

# A program that must not come out YES: NAME, the command that loads it or -, and the program's own command.
control() {
  local name=$1 load=$2 pid verdict
  shift 2
  [[ $name =~ $pattern ]] || return 0
  [[ $mode != list ]] || { echo "$name"; return 0; }
  cell=$folder/controls/$name
  [[ ! -s $cell/row.csv ]] || return 0
  mkdir -p "$cell"
  taskset -c "$server_cpu" "$@" >"$cell/program.out" 2>&1 &
  pid=$!
  own_process "$pid"
  sleep 1
  kill -0 "$pid" 2>/dev/null || { echo "controls $name: it ended: $(tail -n1 "$cell/program.out")" >&2; return 0; }
  if [[ $load != - ]]; then
    taskset -c "$client_cpu" timeout "$((watch + 60))" bash -c "$load" >"$cell/load.out" 2>&1 &
    own_process $!
    sleep 1
  fi
  "$program" advise --pid "$pid" --for "${watch}s" --calibrate-for "${calibrate}s" --quiet --json --out "$cell/record" \
    >"$cell/advice.json" 2>"$cell/advise.err" || true
  [[ -s $cell/advice.json ]] || { echo "controls $name: $(cat "$cell/advise.err")" >&2; forget; return 0; }
  jq -r --arg name "$name" '[$name, .verdict, .reason, .causes.whole, .waits.voluntary,
    (if .target then (.target as $t | .targets[] | select(.target == $t) | .share.high) else "" end)] | @csv' \
    "$cell/advice.json" >"$cell/row.csv"
  forget
  echo "controls $name: $(cut -d, -f2,3 "$cell/row.csv" | xargs)"
}

controls() {
  local base=$((port + 300))
  control idle - sleep 600
  control sleeping - perl -e 'select(undef, undef, undef, 0.0005) while 1'
  control computing - perl -e '1 while 1'
  if [[ $mode == list ]] || compiled controls.c; then
    local own=$folder/bin/controls
    [[ $mode == list ]] || dd if=/dev/zero of="$folder/disk" bs=1M count=64 status=none
    control locks - "$own" locks
    control spinning - "$own" spin
    control disk - "$own" disk "$folder/disk"
  fi
  local client="$program load --quiet -d ${watch}s -c 64"
  client="while :; do $client -R 10000"
  control async-epoll "$client tcp://127.0.0.1:$base; done" "$program" serve epoll --listen "127.0.0.1:$base" --protocol tcp-echo
  control async-tokio "$client tcp://127.0.0.1:$((base + 1)); done" "$program" serve tokio_multi_thread \
    --listen "127.0.0.1:$((base + 1))" --protocol tcp-echo
  control async-uring "$client tcp://127.0.0.1:$((base + 2)); done" "$program" serve uring \
    --listen "127.0.0.1:$((base + 2))" --protocol tcp-echo
  local work=$folder/work
  if [[ $mode != list ]]; then
    mkdir -p "$work"
    echo hello >"$work/index.html"
  fi
  if there redis-server redis-server; then
    control redis "redis-benchmark -p $((base + 3)) -l -q -t get" redis-server --port "$((base + 3))" --save ''
  fi
  if there memcached memcached; then
    control memcached "while :; do for i in {1..200}; do echo version; done | timeout 1 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$((base + 4)); cat >&3; head -n 200 <&3'; done" \
      memcached -u nobody -l 127.0.0.1 -p "$((base + 4))"
  fi
  if there nginx nginx-light; then
    [[ $mode == list ]] || printf 'daemon off; worker_processes 1; pid %s/nginx.pid; error_log stderr; events {} http { access_log off; server { listen 127.0.0.1:%s; root %s; } }\n' \
      "$work" "$((base + 5))" "$work" >"$work/nginx.conf"
    control nginx "$client http://127.0.0.1:$((base + 5))/; done" nginx -p "$work" -c "$work/nginx.conf"
  fi
  if there lighttpd lighttpd; then
    [[ $mode == list ]] || printf 'server.document-root = "%s"\nserver.port = %s\nserver.bind = "127.0.0.1"\n' "$work" "$((base + 6))" >"$work/lighttpd.conf"
    control lighttpd "$client http://127.0.0.1:$((base + 6))/index.html; done" lighttpd -D -f "$work/lighttpd.conf"
  fi
  if there haproxy haproxy; then
    [[ $mode == list ]] || printf 'global\n nbthread 1\ndefaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 1s\nfrontend f\n bind 127.0.0.1:%s\n http-request return status 200 content-type text/plain string hello\n' \
      "$((base + 7))" >"$work/haproxy.cfg"
    control haproxy "$client http://127.0.0.1:$((base + 7))/; done" haproxy -db -f "$work/haproxy.cfg"
  fi
}
