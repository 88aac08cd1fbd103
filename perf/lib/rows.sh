# The rows of perf/compare: each takes a side and its mount, and prints one figure, of which more is better. Sourced.
rows=(seq_write seq_read read_two rand_read rand_read_four rand_write write_fsync getattr create walk unlink)
declare -A titles=(
  [seq_write]="sequential write 1M, MB/s" [seq_read]="sequential read 1M cold, MB/s"
  [read_two]="read 128k, two readers, MB/s" [rand_read]="random read 4k cold, IOPS"
  [rand_read_four]="random read 4k, 4 jobs, IOPS" [rand_write]="random write 4k, IOPS"
  [write_fsync]="write 4k + fsync, ops/s" [getattr]="getattr uncached, ops/s"
  [create]="create 4k files + sync, files/s" [walk]="walk + stat cold, files/s" [unlink]="unlink, files/s"
)
# Reads and writes of the random rows, over all jobs: few enough that no block comes twice.
random_mib=$((mib / 4))

record() { printf '%s\t%s\t%s\t%s\n' "$1" "${titles[$2]:-$2}" "$3" "$4" >>"$work/samples"; }

# job DIR FIGURE FIO-OPTION...: the figure is a jq expression on the job's read or write side.
job() {
  local dir=$1 figure=$2; shift 2
  fio --name=job --filename="$dir/file" --ioengine=psync --invalidate=1 --group_reporting --output-format=json "$@" 2>/dev/null \
    | jq ".jobs[0] | (if .read.total_ios > 0 then .read else .write end) | $figure | floor"
}
rate='(.bw_bytes / 1e6)'

row_seq_write() { rm -f "$2/file"; job "$2" "$rate" --rw=write --bs=1M --size="${mib}M" --end_fsync=1; }
row_seq_read() { cold "$1"; job "$2" "$rate" --rw=read --bs=1M --size="${mib}M"; }
row_read_two() {
  cold "$1"
  job "$2" "$rate" --rw=read --bs=128k --numjobs=2 --size="$((mib / 2))M" --offset_increment="$((mib / 2))M"
}
row_rand_read() { cold "$1"; job "$2" .iops --rw=randread --bs=4k --size="${mib}M" --io_size="${random_mib}M"; }
row_rand_read_four() {
  cold "$1"
  job "$2" .iops --rw=randread --bs=4k --numjobs=4 --size="$((mib / 4))M" --offset_increment="$((mib / 4))M" \
    --io_size="$((random_mib / 2))M"
}
row_rand_write() { job "$2" .iops --rw=randwrite --bs=4k --size="${mib}M" --io_size="${random_mib}M" --end_fsync=1; }
row_write_fsync() { job "$2" .iops --rw=write --bs=4k --size=16M --fsync=1 --runtime=2; }
row_getattr() { "$work/files" getattr "$2/file"; }
row_create() { "$work/files" create "$2/tree" "$files"; }
row_walk() { cold "$1"; "$work/files" walk "$2/tree" "$files"; }
row_unlink() { "$work/files" unlink "$2/tree" "$files"; }

measure_ciphers() {
  local ours
  for bytes in 4096 512; do
    ours=$("$command" benchmark --json --cipher-only | jq ".ciphers | map(select(.sectorByteSize == $bytes and .keyBits == 512)) | .[0].bytesPerSecond / 1e6 | floor")
    record "$1" "AES-256-XTS $bytes, MB/s" ours "$ours"
    if [ -x "$work/evp_xts" ]; then
      record "$1" "AES-256-XTS $bytes, MB/s" "EVP per sector" "$("$work/evp_xts" "$bytes")"
    fi
    if command -v openssl >/dev/null; then
      record "$1" "AES-256-XTS $bytes, MB/s" "openssl speed" "$(openssl speed -elapsed -seconds 1 -bytes "$bytes" -evp aes-256-xts 2>/dev/null \
        | awk '/^(aes-256-xts|AES-256-XTS)/ { sub("k", "", $2); printf "%d\n", $2 / 1000 }')"
    fi
  done
}
