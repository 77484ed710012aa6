# A pod has a folder and an environment of its own, and sees the runs of the machine.
: "${EXAWORKS_CI_HOME:?must be set, to a folder that pods and compute nodes share}"
umask 077
export EXAWORKS_MACHINE_HOME="$EXAWORKS_HOME"
export EXAWORKS_HOME="$EXAWORKS_MACHINE_HOME/pod"
mkdir -p "$EXAWORKS_MACHINE_HOME/runs" "$EXAWORKS_HOME"
[ -e "$EXAWORKS_HOME/runs" ] || ln -s ../runs "$EXAWORKS_HOME/runs"
