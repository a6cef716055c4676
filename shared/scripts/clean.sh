#!/bin/bash
# Removes one database's folder from this node: drops its pages from memory, deletes it, and says what is left.
#
# Only a folder right below the root, named like a database, is ever touched; a link is not followed. The last line is
# machine-readable: ELB_CLEAN {"removed_bytes":...,"left_bytes":...,"resident_bytes":...,"gone":...}.
# Exit codes: 0 gone, 70 something is left, 78 refused.
set -uo pipefail
root=${ELB_ROOT:-/blast/blastdb}
folder=$root/$ELB_DB

say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$*"; }
refuse() {
    say "refused: $1"
    exit 78
}
bytes_in() { du -sb --apparent-size "$1" 2>/dev/null | cut -f 1; }
resident_bytes_in() {
    local pages
    pages=$(vmtouch "$1" 2>/dev/null | sed -n 's/.*Resident Pages: \([0-9]*\)\/.*/\1/p')
    echo $((${pages:-0} * $(getconf PAGESIZE)))
}
report() { # report REMOVED LEFT RESIDENT GONE
    printf 'ELB_CLEAN {"removed_bytes":%d,"left_bytes":%d,"resident_bytes":%d,"gone":%s}\n' "$1" "$2" "$3" "$4"
}

[[ $ELB_DB =~ ^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$ && $ELB_DB != *..* ]] || refuse "this is not the name of a database"
[[ ! -L $folder ]] || refuse "the folder of $ELB_DB is a link"
if [[ ! -e $folder ]]; then
    say "nothing of $ELB_DB is here"
    report 0 0 0 true
    exit 0
fi
[[ -d $folder ]] || refuse "$ELB_DB is not a folder"
[[ $(realpath "$folder") == "$(realpath "$root")/$ELB_DB" ]] || refuse "the folder of $ELB_DB lies elsewhere"

before=$(bytes_in "$folder")
# Pages that were never written cannot be dropped, so they are written first. What is resident after that is mapped by a
# process, and stays in memory until that ends, with its file gone or not.
find "$folder" -type f -exec sync -d {} + || say "some files of $ELB_DB could not be synced"
# The residency probe is such a process, for a moment: so it is tried again.
for _ in {1..15}; do
    vmtouch -qe "$folder" >/dev/null || say "some pages of $ELB_DB could not be dropped"
    held=$(resident_bytes_in "$folder")
    ((held > 0)) || break
    sleep 0.2
done
rm -rf --one-file-system -- "$folder"
if [[ -e $folder ]]; then
    report "${before:-0}" "$(bytes_in "$folder")" "$held" false
    exit 70
fi
report "${before:-0}" 0 "$held" true
say DONE
