export EXAWORKS="${EXAWORKS:-./exaworks}"
[ -z "${EXAWORKS_SDK_URL:-}" ] || EXAWORKS=$EXAWORKS_HOME/sdk/exaworks
