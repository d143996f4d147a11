#!/bin/sh
# Installs the Debian packages that are missing. Prints what it installs; says nothing and
# touches nothing when all is there. One list per need: add yours.
#   install-deps.sh         what building and testing needs
#   install-deps.sh bench   and what `make bench-…` compares with, nginx for some tests too
set -eu

# billet-image: boot loaders, file systems, a Debian, image formats.
packages="grub-pc-bin grub-efi-amd64-bin grub-common dosfstools mtools e2fsprogs mmdebstrap qemu-utils xz-utils zstd"
# Images in every compression that people use.
packages="$packages bzip2 gzip lz4"
# billet-lab and the boots in the tests: virtual servers and their network.
packages="$packages qemu-system-x86 ovmf ipxe dnsmasq-base iproute2 util-linux"
# Tests that check our work with other people's tools.
packages="$packages gdisk cpio kmod openssl procps"
# Guests of tests: the device mapper and discards inside, small programs to boot.
packages="$packages dmsetup binutils libc-bin"
# Their management controller and their TPM.
packages="$packages openipmi swtpm"
# C code inside some crates.
packages="$packages gcc libc6-dev"
# Loop devices in tests; the authorities that a ramdisk believes.
packages="$packages mount ca-certificates"
case "${1:-}" in
'') ;;
bench)
	# The server, and the peers: each is somebody's way to fill a disk, to empty one, or to know a machine. nginx starts a
	# service of its own where there is an init, so it is not for everybody's machine; tests that
	# want it say so when it is not there.
	packages="$packages nginx-light bmap-tools nbdkit libnbd-bin qemu-block-extra curl pigz nwipe"
	# What Ironic's agent asks to know a machine.
	packages="$packages lshw dmidecode pciutils"
	;;
*)
	echo "install-deps: unknown list $1" >&2
	exit 2
	;;
esac

# shellcheck disable=SC2086 # a list of words
installed=$(dpkg-query -W -f '${Package}:${db:Status-Status}\n' $packages 2>/dev/null || true)
missing=
for package in $packages; do
	echo "$installed" | grep -qx "$package:installed" || missing="$missing $package"
done
# billet-image asks apt for packages without installing them: apt must have its lists.
lists=yes
apt-cache show --no-all-versions linux-image-amd64 >/dev/null 2>&1 || lists=no
[ -n "$missing" ] || [ "$lists" = no ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "install-deps: run as root: apt-get update && apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "install-deps: fetching apt's lists"
apt-get -qq update
if [ -n "$missing" ]; then
	echo "install-deps: installing$missing"
	# shellcheck disable=SC2086 # a list of words
	apt-get -qq install -y --no-install-recommends $missing >/dev/null
fi
