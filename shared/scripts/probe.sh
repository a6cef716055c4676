#!/bin/bash
# What of the databases on this node's disk is in its memory: one line of JSON a minute, the first one at once.
#
# {"at":...,"seconds":...,"databases":[{"database":...,"bytes":...,"resident":...,"shards":[{"layout":...,"shard":...,
# "version":...,"bytes":...,"resident":...,"missing":...}]}]}. A shard is what the marker of warm.sh beside its list of
# files says; "missing" counts files of the list that are not on the disk; a number that could not be measured in time
# is null. mincore(2) answers truly only to the owner of a file or who may write it (Linux >= 5.2), and says "resident"
# to all others: the probe runs as the user that warm.sh runs as.
set -uo pipefail
shopt -s nullglob
root=${ELB_ROOT:-/blast/blastdb}
every=${ELB_PROBE_SECONDS:-60}
limit=${ELB_PROBE_LIMIT_SECONDS:-15}
page=$(getconf PAGESIZE)
# Whatever is in the background, also when the signal comes before its number is known.
trap 'kill $(jobs -p) 2>/dev/null; exit 0' TERM INT

resident() { # resident BYTES ARGUMENTS-OF-VMTOUCH...: bytes of BYTES that are in memory
    local bytes=$1 pages
    shift
    pages=$(timeout "$limit" vmtouch "$@" 2>/dev/null | sed -n 's|^ *Resident Pages: *\([0-9]*\)/\([0-9]*\).*|\1 \2|p')
    if [[ -z $pages ]]; then
        echo null
    elif [[ ${pages% *} == "${pages#* }" ]]; then
        echo "$bytes" # the last page of a file is rarely full
    else
        echo $((${pages% *} * page < bytes ? ${pages% *} * page : bytes))
    fi
}

shards() { # the shards of the database in the present folder
    local marker layout shard name names size bytes missing version comma=""
    for marker in .warm-*-*; do
        [[ $marker =~ ^\.warm-([0-9]+)-([0-9]+)$ ]] || continue
        layout=${BASH_REMATCH[1]} shard=${BASH_REMATCH[2]}
        [[ -r .files-$layout-$shard ]] || continue
        version=$(head -c 100 "$marker")
        [[ $version =~ ^[A-Za-z0-9_.-]*$ ]] || version=""
        mapfile -t names <".files-$layout-$shard"
        bytes=0 missing=${#names[@]}
        while read -r size; do
            bytes=$((bytes + size)) missing=$((missing - 1))
        done < <(stat -L -c %s -- "${names[@]}" 2>/dev/null)
        printf '%s{"layout":%d,"shard":%d,"version":"%s","bytes":%d,"resident":%s,"missing":%d}' "$comma" \
            "$((10#$layout))" "$((10#$shard))" "$version" "$bytes" "$(resident "$bytes" -b ".files-$layout-$shard")" "$missing"
        comma=,
    done
}

databases() {
    local folder name bytes comma=""
    for folder in "$root"/*/; do
        name=$(basename "$folder")
        [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$ ]] && cd "$folder" 2>/dev/null || continue
        bytes=$(find . -type f -printf '%s\n' 2>/dev/null | awk '{sum += $1} END {printf "%d", sum}')
        printf '%s{"database":"%s","bytes":%d,"resident":%s,"shards":[%s]}' "$comma" \
            "$name" "$bytes" "$(resident "$bytes" .)" "$(shards)"
        comma=,
    done
}

while true; do
    at=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ) begun=${EPOCHREALTIME/./}
    found=$(databases)
    # One write for the whole line, so that who reads the log meanwhile gets no half of it.
    printf '{"at":"%s","seconds":%d.%03d,"databases":[%s]}\n' "$at" $(((${EPOCHREALTIME/./} - begun) / 1000000)) \
        $(((${EPOCHREALTIME/./} - begun) / 1000 % 1000)) "$found"
    sleep "$every" >/dev/null 2>&1 & # holds nobody's pipe open
    wait $!
done
