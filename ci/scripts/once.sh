# The lines above this one set exaworks and system.
: "${exaworks:?}" "${system:?}"
umask 077
mkdir -p "$EXAWORKS_HOME" || exit 2
exec 9>"$EXAWORKS_HOME/cron.lock"
flock -n 9 || exit 0
results=$EXAWORKS_HOME/cron-results
log=$EXAWORKS_HOME/cron.log
rm -rf "$results"
: >"$log"

stage() {
  "$exaworks" ci stage --site "$system" --results "$results" "$@" >>"$log" 2>&1 9>&-
}

finish() {
  "$exaworks" ci deliver --site "$system" --results "$results" >>"$log" 2>&1 9>&- || echo "results of $system are not delivered"
  verdict=$("$exaworks" ci verdict --site "$system" --results "$results" 2>&1 9>&-)
  code=$?
  printf '%s\n' "$verdict" >>"$log"
  [ "$code" = 0 ] || printf '%s\nlog: %s\n' "$verdict" "$log"
  exit "$code"
}
