# The sides of perf/compare: how each is prepared, mounted at $work/mount/SIDE, and taken off. Sourced.
sides=()
uring_switch=/sys/module/fuse/parameters/enable_uring
examples=/usr/share/doc/libfuse3-dev/examples
image_mib=$((mib * 2 + 512))

find_sides() {
  sides=(ours)
  if is_root && [ -w "$uring_switch" ]; then sides+=(uring); fi
  if command -v gocryptfs >/dev/null; then sides+=(gocryptfs); fi
  if command -v fuse2fs >/dev/null && command -v mke2fs >/dev/null; then sides+=(fuse2fs); fi
  if build_passthrough; then sides+=(passthrough); fi
  if is_root && command -v mke2fs >/dev/null && losetup -f >/dev/null 2>&1; then sides+=(ext4); fi
}

build_passthrough() {
  [ -f "$examples/passthrough_ll.c" ] && pkg-config --exists fuse3 2>/dev/null || return 1
  # shellcheck disable=SC2046
  gcc -O2 -o "$work/passthrough_ll" "$examples/passthrough_ll.c" $(pkg-config --cflags --libs fuse3) 2>/dev/null
}

prepare_side() {
  mkdir -p "$work/mount/$1"
  case $1 in
    ours | uring)
      echo secret >"$work/passphrase"
      "$command" create "$work/$1.img" --size "${image_mib}M" --pbkdf pbkdf2 --iter-time 10 --no-recovery-key \
        --passphrase-file "$work/passphrase" >/dev/null ;;
    gocryptfs)
      mkdir "$work/cipher"
      echo secret >"$work/passphrase"
      gocryptfs -init -q -scryptn 10 -passfile "$work/passphrase" "$work/cipher" ;;
    passthrough) mkdir "$work/passthrough.source" ;;
    fuse2fs | ext4)
      truncate -s "${image_mib}M" "$work/$1.img"
      mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0,root_owner="$(id -u):$(id -g)" "$work/$1.img" ;;
  esac
}

mount_side() {
  local at=$work/mount/$1
  case $1 in
    ours) "$command" mount "$work/ours.img" "$at" --passphrase-file "$work/passphrase" >/dev/null ;;
    uring)
      # A connection reads the switch once, at its start.
      local before; before=$(cat "$uring_switch")
      echo Y >"$uring_switch"
      "$command" mount "$work/uring.img" "$at" --passphrase-file "$work/passphrase" >/dev/null
      echo "$before" >"$uring_switch" ;;
    gocryptfs) gocryptfs -q -nosyslog -passfile "$work/passphrase" "$work/cipher" "$at" ;;
    fuse2fs) fuse2fs "$work/fuse2fs.img" "$at" -o fakeroot >/dev/null 2>&1 ;;
    passthrough) "$work/passthrough_ll" -o "source=$work/passthrough.source,writeback" "$at" ;;
    ext4) mount -o loop "$work/ext4.img" "$at" ;;
  esac
  mountpoint -q "$at" || { echo "$1 is not mounted" >&2; exit 3; }
}

unmount_side() {
  mountpoint -q "$work/mount/$1" || return 0
  if is_root; then umount "$work/mount/$1" 2>/dev/null || umount -l "$work/mount/$1"
  else fusermount3 -u "$work/mount/$1" 2>/dev/null || fusermount3 -u -z "$work/mount/$1"; fi
}

# cold SIDE: nothing of it in the kernel's caches. A user cannot empty them, but a new mount has none.
cold() {
  if is_root; then
    sync -f "$work/mount/$1"
    echo 3 >/proc/sys/vm/drop_caches
    return
  fi
  unmount_side "$1"
  sleep 0.5
  mount_side "$1"
}

describe() {
  echo "user: $(id -un); cpu: $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $(nproc) cores; kernel $(uname -r)"
  echo "load while it ran: $(cut -d' ' -f1-3 /proc/loadavg); $rounds rounds, $mib MiB, $files files"
  echo "ours: $("$command" --version 2>/dev/null | head -1)"
  ! command -v gocryptfs >/dev/null || gocryptfs -version | head -1
  ! command -v fuse2fs >/dev/null || echo "fuse2fs: $(dpkg-query -W -f '${Version}' fuse2fs 2>/dev/null)"
  ! [ -x "$work/passthrough_ll" ] || echo "passthrough_ll: libfuse $(pkg-config --modversion fuse3), -o writeback"
  echo "$(openssl version 2>/dev/null); $(fio --version)"
}
