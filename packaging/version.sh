#!/bin/sh
# The version of this source tree: that of the workspace, which every release, package and image carries.
set -eu
exec sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml"
