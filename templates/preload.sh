# Has the models loaded one after the other, as soon as the server takes requests. systemd makes one line of it
host=$1 port=$2;
ask() {
  lines=();
  {
    printf 'POST %s HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s' "$1" "${#2}" "$2" >&3;
    mapfile -t -u 3 lines;
  } 3<>"/dev/tcp/$host/$port";
} 2>/dev/null;
load() {
  ask /api/generate "{\"model\":\"$1\",\"stream\":false}" || return;
  [[ ${lines[0]} != *" 400 "* ]] || ask /api/embed "{\"model\":\"$1\",\"input\":\"\"}";
};
for model in "${@:3}"; do
  for pause in 1 2 4 8 0; do
    until load "$model"; do sleep 0.2; done;
    [[ ${lines[0]} != *" 200 "* ]] || { echo "preload: $model is in memory after $SECONDS s"; break; };
    echo "preload: $model was not loaded: ${lines[*]: -1}";
    sleep "$pause";
  done;
done &
