#!/bin/bash
# Brings one shard of a database onto this node's disk and into its memory.
#
# Leftovers removed -> volumes (AzCopy, 3 tries) -> blastdbcheck -> touched into RAM (vmtouch) -> marker -> completed.
# The marker is per database and shard, holds the source version and is written last; one that does not match means a
# new download. One machine-readable line per change: ELB_PHASE {"phase":...,"done":...,"total":...}; the one that says
# "failed" has in "during" the phase that it happened in. What went wrong and is tried again, or ends it, is told by
# ELB_INCIDENT {"shard":...,"try":...,"cause":...,"message":...,"at":...}.
# Exit codes: 64 download failed, 65 role missing, 66 bad database, 67 memory full, 68 disk full, 69 firewall, 70 other.
set -uo pipefail
root=${ELB_ROOT:-/blast/blastdb}
folder=$root/$ELB_DB
marker=$folder/.warm-$ELB_LAYOUT-$ELB_SHARD
scratch=${TMPDIR:-/tmp}
during=starting done_bytes=0 total=0 try=1

say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$*"; }
phase() { # phase NAME DONE TOTAL [MESSAGE]
    if [[ $1 != failed ]]; then during=$1 done_bytes=$2; fi
    printf 'ELB_PHASE {"phase":"%s","during":"%s","done":%d,"total":%d,"message":"%s","at":"%s"}\n' \
        "$1" "$during" "$2" "$3" "${4:-}" "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)"
}
incident() { # incident "CAUSE: MESSAGE"
    printf 'ELB_INCIDENT {"shard":"%s","try":%d,"cause":"%s","message":"%s","at":"%s"}\n' \
        "$ELB_SHARD" "$try" "${1%%: *}" "${1#*: }" "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)"
}
fail() { # fail EXIT-CODE MESSAGE
    phase failed "$done_bytes" "$total" "$2"
    say "$2"
    exit "$1"
}

if ! mkdir -p "$folder"; then
    incident "disk_full: folder of $ELB_DB could not be made on the node's disk"
    fail 68 "disk_full: folder of $ELB_DB could not be made on the node's disk"
fi

names=()
while read -r size path; do
    [[ -n $path ]] || continue
    names+=("${path##*/}")
    total=$((total + size))
done <<<"$ELB_FILES"

copied_bytes() { # bytes of the shard's files that lie on the disk
    local sum=0 name size
    for name in "${names[@]}"; do
        size=$(stat -c %s "$folder/$name" 2>/dev/null) && sum=$((sum + size))
    done
    echo "$sum"
}

complete() { # every file is there with the size that storage has
    local size path
    while read -r size path; do
        [[ -n $path ]] || continue
        [[ $(stat -c %s "$folder/${path##*/}" 2>/dev/null) == "$size" ]] || return 1
    done <<<"$ELB_FILES"
}

remove_leftovers() { # of this shard's files: other shards may be on their way to the same folder
    local name
    for name in "${names[@]}"; do find "$folder" -name ".azDownload-*-$name" -delete; done
}

phase starting 0 "$total" "database $ELB_DB shard $ELB_SHARD on $(hostname)"
remove_leftovers

copy() {
    local pattern log=$folder/.copy-$ELB_LAYOUT-$ELB_SHARD.log pid code lost ticker
    rm -rf "$scratch/azcopy"
    pattern=$(IFS=';'; echo "${names[*]}")
    # One AzCopy start brings all files; the address carries a signature and is never printed.
    AZCOPY_LOG_LOCATION=$scratch/azcopy AZCOPY_JOB_PLAN_LOCATION=$scratch/azcopy AZCOPY_DISABLE_SYSLOG=true \
        azcopy copy "${ELB_SOURCE_URL%%\?*}/$ELB_DB/*?${ELB_SOURCE_URL#*\?}" "$folder" --from-to BlobLocal \
        --include-pattern "$pattern" --overwrite true --check-length=true --output-level essential >"$log" 2>&1 &
    pid=$!
    while sleep 0.5; do phase copying_files "$(copied_bytes)" "$total"; done &
    ticker=$!
    wait "$pid"
    code=$?
    kill "$ticker"
    wait "$ticker" 2>/dev/null
    done_bytes=$(copied_bytes)
    if [[ $code -eq 0 ]]; then
        cause="download_failed: files are missing or incomplete after the copy"
    elif grep -qi "no space left on device" "$log"; then
        cause="disk_full: the node's disk was full after $(copied_bytes) of $total bytes"
    elif grep -q AuthorizationPermissionMismatch "$log"; then
        cause="storage_role_missing: the role on the storage account is missing or does not act yet (60-180 s)"
    elif grep -q AuthorizationFailure "$log"; then
        cause="storage_firewall: the firewall of the storage account does not allow the nodes' subnet"
    else
        cause="download_failed: AzCopy ended with exit code $code"
    fi
    if [[ $code -eq 0 ]]; then
        lost=$(cat "$scratch"/azcopy/*.log 2>/dev/null | grep -c -- '-- REQUEST ERROR')
        ((lost == 0)) || incident "connection_lost: AzCopy lost $lost connections to storage and made them again"
    fi
    if [[ $code -ne 0 ]]; then sed 's/?[^ ]*sig=[^ ]*//g' "$log" | tail -n 20; fi
    rm -f "$log"
    return "$code"
}

exit_code_of() { # exit_code_of CAUSE
    case ${1%%:*} in storage_role_missing) echo 65 ;; disk_full) echo 68 ;; storage_firewall) echo 69 ;; *) echo 64 ;; esac
}

fits_on_disk() { # what is still to come has room where the folder lies
    local missing free
    missing=$((total - $(copied_bytes)))
    free=$(df --output=avail -B1 "$folder" | tail -n 1)
    [[ $free =~ ^[[:space:]]*[0-9]+$ ]] || return 0
    ((missing <= free)) || { cause="disk_full: $missing bytes are to come and the node's disk has $((free)) free"; false; }
}

if [[ $(cat "$marker" 2>/dev/null) == "$ELB_SOURCE_VERSION" ]] && complete; then
    say "on disk already, 0 bytes downloaded"
else
    rm -f "$marker"
    # Files of other shards, and of other layouts, may be among those that are overwritten now.
    for other in "$folder"/.warm-[0-9]*-*[0-9]; do
        if version=$(cat "$other" 2>/dev/null) && [[ $version != "$ELB_SOURCE_VERSION" ]]; then rm -f "$other"; fi
    done
    cause=""
    for try in 1 2 3; do
        phase copying_files "$(copied_bytes)" "$total" "try $try"
        if fits_on_disk && copy && complete; then cause=""; break; fi
        say "try $try: $cause"
        incident "$cause"
        remove_leftovers
        case ${cause%%:*} in disk_full | storage_firewall) break ;; esac
        if ((try < 3)); then sleep $((try * 2)); fi
    done
    [[ -z $cause ]] || fail "$(exit_code_of "$cause")" "$cause"
    phase copying_files "$total" "$total"
fi

phase verifying_db 0 0
# The volumes are checked by name: blastdbcheck knows no STATS_NSEQ and refuses an alias that has it. It also wants
# taxdb beside the volumes; where storage has none, opening every volume and the alias must do.
verify() {
    cd "$folder" || return 1
    if [[ -e taxdb.bti ]]; then
        blastdbcheck -db "$ELB_VOLUMES" -dbtype "$ELB_DBTYPE" -no_isam
    else
        blastdbcmd -db "$ELB_VOLUMES" -dbtype "$ELB_DBTYPE" -info
    fi && blastdbcmd -db "$ELB_ALIAS" -dbtype "$ELB_DBTYPE" -info
}
if ! (verify) >"$scratch/check.log" 2>&1; then
    tail -n 20 "$scratch/check.log"
    rm -f "$marker"
    incident "bad_database: blastdbcheck refused the volumes of $ELB_ALIAS"
    fail 66 "bad_database: blastdbcheck refused the volumes of $ELB_ALIAS"
fi

phase touching_memory 0 "$total"
touched=0 limit=${ELB_TOUCH_LIMIT_BYTES:-0}
while read -r size path; do
    [[ -n $path ]] || continue
    if ((limit > 0 && touched + size > limit)); then
        incident "node_memory_full: $total bytes do not fit in $limit bytes of cache"
        fail 67 "node_memory_full: $total bytes do not fit in $limit bytes of cache"
    fi
    vmtouch -qt "$folder/${path##*/}" >/dev/null || fail 70 "vmtouch could not touch ${path##*/}"
    touched=$((touched + size))
    phase touching_memory "$touched" "$total"
done <<<"$ELB_FILES"

# The residency probe counts a shard's files by this list, once the marker says that they are there.
list=$folder/.files-$ELB_LAYOUT-$ELB_SHARD
printf '%s\n' "${names[@]}" >"$list.new" && mv "$list.new" "$list" || fail 70 "the list of files could not be written"
printf '%s' "$ELB_SOURCE_VERSION" >"$marker.new" && mv "$marker.new" "$marker" || fail 70 "the marker could not be written"
phase completed "$total" "$total"
say DONE
