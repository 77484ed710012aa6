# A run without problems prints nothing, so that cron sends mail only if something is wrong.
: "${PATH:=/usr/local/bin:/usr/bin:/bin}"
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
: "${SHELL:=/bin/sh}" "${LOGNAME:=$(id -un)}"
: "${USER:=$LOGNAME}"
export PATH HOME SHELL LOGNAME USER
settings=${EXAWORKS_CI_ENV:-$HOME/.config/exaworks/ci.env}
if [ -r "$settings" ]; then
  set -a
  # shellcheck source=/dev/null
  . "$settings"
  set +a
fi
