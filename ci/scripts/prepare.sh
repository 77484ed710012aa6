umask 077
mkdir -p "$EXAWORKS_HOME"
if [ -n "${EXAWORKS_SDK_URL:-}" ]; then
  sdk=$EXAWORKS_HOME/sdk
  [ -d "$sdk/.git" ] || git clone --quiet "$EXAWORKS_SDK_URL" "$sdk"
  git -C "$sdk" fetch --quiet "$EXAWORKS_SDK_URL" "${EXAWORKS_SDK_REF:-HEAD}"
  git -C "$sdk" checkout --quiet --force --detach FETCH_HEAD
fi
