# SPDX-License-Identifier: MIT
# What scripts/build-image and scripts/vm share: one folder per guest kernel
# with the kernel to boot and the modules that the guest needs. Source it
# after common.sh.
# shellcheck shell=bash disable=SC2154,SC2034

image_dir=$build/image
root_image=$image_dir/root.squashfs
# A Debian without anything of this tree; its kernel is in boot/.
clean_dir=$image_dir/clean

# modules_of KERNEL RELEASE: where that kernel's modules are, if anywhere.
modules_of() {
	local dir
	dir=$(dirname "$1")
	for dir in "$dir/../lib/modules/$2" "$dir/lib/modules/$2" "$dir/modules/$2"; do
		if [ -d "$dir" ]; then
			realpath "$dir"
			return
		fi
	done
}

# with_dependencies MODULES.DEP NAME…: the files of the modules and of what
# they need, in the order in which insmod takes them.
with_dependencies() {
	awk -v names="${*:2}" '
		function norm(file) {
			sub(/.*\//, "", file); sub(/\.ko.*/, "", file); gsub(/-/, "_", file)
			return file
		}
		{
			file = $1; sub(/:$/, "", file)
			name = norm(file); path[name] = file; count[name] = NF - 1
			# modules.dep names the deepest dependency last.
			for (i = 2; i <= NF; i++) dep[name, i - 1] = $i
		}
		END {
			total = split(names, list, " ")
			for (n = 1; n <= total; n++) {
				name = list[n]; gsub(/-/, "_", name)
				if (!(name in path)) continue
				for (i = count[name]; i > 0; i--)
					if (!seen[dep[name, i]]++) print dep[name, i]
				if (!seen[path[name]]++) print path[name]
			}
		}' "$1"
}

# guest_kernel KERNEL: prepare build/image/kernel-…; sets kernel_dir, release.
guest_kernel() {
	local kernel=$1 key modules tree file target names
	[ -r "$kernel" ] || die "no kernel at $kernel"
	key=$({
		realpath "$kernel"
		stat -Lc '%s %Y' "$kernel"
		cat "$top/guest/modules" "$top/scripts/lib/guest.sh"
	} | sha256sum)
	kernel_dir=$image_dir/kernel-${key:0:16}
	if [ ! -e "$kernel_dir/release" ]; then
		local work=$kernel_dir.$$
		rm -rf "$work"
		mkdir -p "$work"
		release=$(python3 "$top/scripts/lib/vmlinux.py" "$kernel" "$work/vmlinux") || {
			rm -rf "$work"
			die "cannot boot $kernel"
		}
		# The direct entry is too early for KASAN: such a kernel starts the long way.
		if grep -aq 'KernelAddressSanitizer initialized' "$work/vmlinux"; then
			cp "$kernel" "$work/vmlinux"
		fi
		tree=$work/payload/usr/lib/modules/$release
		mkdir -p "$tree"
		: >"$work/early-modules"
		modules=$(modules_of "$kernel" "$release")
		if [ -n "$modules" ]; then
			cp "$modules"/modules.{builtin,builtin.modinfo,order} "$tree/"
			mapfile -t names < <(sed '/^#/d' "$top/guest/modules")
			[ -e "$modules/modules.dep" ] || depmod -b "${modules%/lib/modules/*}" "$release"
			while read -r file; do
				target=$tree/${file%.xz}
				mkdir -p "$(dirname "$target")"
				# Unpacked here once instead of in every guest.
				case $file in
				*.xz) xz -dc "$modules/$file" >"$target" ;;
				*) cp "$modules/$file" "$target" ;;
				esac
			done < <(with_dependencies "$modules/modules.dep" "${names[@]}")
			with_dependencies "$modules/modules.dep" virtio_pci virtio_blk squashfs overlay |
				sed "s,\.xz\$,,; s,^,$release/," >"$work/early-modules"
		fi
		echo "$release" >"$work/release"
		# Somebody else may have been faster: theirs is as good.
		mv -T "$work" "$kernel_dir" 2>/dev/null || rm -rf "$work"
	fi
	release=$(cat "$kernel_dir/release")
}
