#!/usr/bin/env bash
# Amazon's SDK for Node: node.sh READY-FILE DIRECTORY, where install.sh has put it.
. "$(dirname "$0")/lib.sh"
node "$(dirname "$0")/node_client.mjs" "${2:?the directory of the SDK}" "$bucket" "$megabytes" "${endpoints[@]}"
