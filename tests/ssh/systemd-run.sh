#!/usr/bin/env bash
# Stands in for systemd-run where the tests have no systemd: starts the command, and notes the process of the unit.
echo "$*" >>"$FAKE/started"
for word; do case $word in --unit=*) unit=${word#--unit=} ;; esac; done
while [ "${1#--}" != "$1" ]; do shift; done
setsid "$@" </dev/null >/dev/null 2>&1 &
echo $! >"$FAKE/$unit"
