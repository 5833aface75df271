#!/bin/sh
# Starts a node in a narrower world. UNDER is shell in which "$@" is the node with its arguments,
# UNDER_PROGRAM the node, UNDER_PID the file that is told the process that becomes it.
set -e
echo $$ >"$UNDER_PID"
set -- "$UNDER_PROGRAM" "$@"
eval "$UNDER"
