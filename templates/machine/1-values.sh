#!/bin/sh
# Turns this machine into one GitHub runner, and back into nothing.
#
# cloud-init runs it as root in the earliest stage that has a network (as a boothook), or the local provider as anybody
# (CML_MACHINE=local). Whatever happens, it ends with a line `cml-runner: last words: ...` on the console and the
# machine powered off. Every value below is put in by cml-bootstrap, quoted for the shell; none stands anywhere else, and
# never in a here-document, where quotes do not protect.
set -u

launch='{{ launch }}'
deadline='{{ deadline }}'         # seconds since 1970
lifetime='{{ lifetime }}'         # seconds from the decision to the deadline
boot_timeout='{{ boot_timeout }}' # seconds
idle_timeout='{{ idle_timeout }}' # seconds, or never
package_url='{{ package_url }}'
package_sha256='{{ package_sha256 }}' # empty when not known
package_token='{{ package_token }}'   # secret, empty where none is needed: never an argument
registration_kind='{{ registration_kind }}' # jit or token
registration='{{ registration }}'           # secret: never an argument
# For config.sh, where the runner is registered by a token:
runner_name='{{ runner_name }}'
runner_url='{{ runner_url }}'
runner_labels='{{ runner_labels }}'
runner_group='{{ runner_group }}'
own_labels='{{ own_labels }}'
ssh_authorized_key='{{ ssh_authorized_key }}'
gpu='{{ gpu }}'           # yes where the machine was bought for its GPU
offers='{{ offers }}'     # lines of offer=TYPE ZONE MARKET USD_PER_HOUR
metadata='{{ metadata }}' # closed to the job, or open
scratch='{{ scratch }}'   # auto: the job's files on the instance's own NVMe disk
cache='{{ cache }}'       # where the volume at /dev/sdf belongs, or empty
packages='{{ packages }}' # of the distribution, by name
proxy_http='{{ http_proxy }}'
proxy_https='{{ https_proxy }}'
proxy_not_for='{{ no_proxy }}'
# Packed by gzip and in base64, or empty:
ca_certificates='{{ ca_certificates }}'
startup_script='{{ startup_script }}'
pre_job='{{ pre_job }}'
post_job='{{ post_job }}'
on_interruption='{{ on_interruption }}'

machine=${CML_MACHINE:-cloud}
if [ "$machine" = local ]; then
  state=$HOME/.cml-runner # ours alone
  store=$state            # large files
  runner_home=$HOME
  facts=$HOME/.cml-facts
  shared=$HOME/.cml-shared # what the runner's user may touch: hooks, marks
else
  # In memory: a full disk must not keep the machine from ending.
  state=/run/cml-runner
  shared=/run/cml-job
  facts=/run/cml-facts # of the machine, for whoever reports
  store=/opt/cml-runner
  runner_home=/home/runner
  export HOME=/root
fi
runner_dir=$runner_home/actions-runner
log=$state/runner.log
helpers= # what a local machine without CML_INSTANCE must end
follower=
imds_token=

# Not echo: many shells' own one reads \c and \n in what it is given.
line() { printf '%s\n' "$1"; }

# NAME=VALUE lines for whatever speaks to the world.
proxies() {
  if [ -n "$proxy_http" ]; then line "http_proxy=$proxy_http"; fi
  if [ -n "$proxy_https" ]; then line "https_proxy=$proxy_https"; fi
  if [ -n "$proxy_not_for" ]; then line "no_proxy=$proxy_not_for"; fi
}

# What the owner gave, as it was.
unpacked() { printf '%s' "$1" | base64 -d | gzip -dc; }

has_systemd() { [ "$machine" != local ] && [ -d /run/systemd/system ]; }
