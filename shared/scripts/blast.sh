#!/bin/bash
# Runs one BLAST Job: download the batch, run the command given as arguments, upload the result, call back.
#
# Exit codes: 1-6 are BLAST's own. The wrapper's faults are apart from them, so that the Job's podFailurePolicy can
# tell "a retry cannot help" from "try again":
#   64 download failed   65 storage refused   70 the script or BLAST ended in an unknown way   71 database changed
#   74 upload failed
set -uo pipefail
cd "${ELB_WORK:-/work}" || exit 70

say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$*"; }

# transfer URL-VARIABLE FAULT CURL-ARGUMENTS...: never prints the URL, which carries a signature.
transfer() {
    local url=$1 fault=$2 status code
    shift 2
    if status=$(curl --silent --show-error --retry 4 --retry-all-errors --max-time 3600 \
        --dump-header transfer.head --write-out '%{http_code}' "$@" "$url" 2>transfer.err) && [[ $status == 2* ]]; then
        return 0
    fi
    # The storage's own code tells a missing role from a firewall: both are HTTP 403.
    code=$(sed -n 's/^x-ms-error-code: *//Ip' transfer.head 2>/dev/null | tail -n 1 | tr -dc '[:alnum:]')
    say "transfer failed: HTTP $status $code $(tr '\n' ' ' <transfer.err | sed 's/?[^ ]*//g' | tail -c 500)"
    if [[ $status == 401 || $status == 403 ]]; then exit 65; fi
    exit "$fault"
}

say "job ${BLAST_ELB_JOB_ID:-unknown} on $(hostname)"
# An unset variable would end the script with 1, which is BLAST's own code for a bad query.
[[ -n ${ELB_QUERY_URL:-} && -n ${ELB_RESULT_URL:-} && $# -gt 0 ]] || { say "URLs or the command are missing"; exit 70; }
transfer "$ELB_QUERY_URL" 64 --output query.fa.gz
gzip -dc query.fa.gz >query.fa || { say "the batch is not gzip"; exit 64; }

# The marker goes before a file of the shard is overwritten: one that is right before and after BLAST was so meanwhile.
check_version() {
    if [[ -n ${ELB_MARKER:-} && $(cat "$ELB_MARKER" 2>/dev/null) != "${ELB_SOURCE_VERSION:-}" ]]; then
        say "the database on this node is not of version ${ELB_SOURCE_VERSION:-} any more"
        exit 71
    fi
}

# A table shows three digits of an E-value. Where more of them decide the order of subjects (ELB_FULL_EVALUES), shards
# could not be put together: BLAST writes its archive, which has them all, blast_formatter makes the very same table of
# it, and the archive's E-values become the table's last column. Where that does not work out, BLAST runs as ever.
search() {
    local argument previous='' outfmt='' limit='' archived=()
    if [[ ${ELB_FULL_EVALUES:-} == yes ]]; then
        for argument in "$@"; do
            case $previous in
                -outfmt) outfmt=$argument argument=11 ;;
                -max_target_seqs) limit=$argument ;;
            esac
            archived+=("$argument")
            previous=$argument
        done
        "${archived[@]}" -query query.fa -out archive.asn || return
        blast_formatter -archive archive.asn -outfmt "$outfmt" -max_target_seqs "$limit" -out table.out &&
            add_evalues "${outfmt%% *}" && rm -f archive.asn table.out && return
        say "no table of the archive: BLAST runs again, and the order of ties between shards may not be BLAST's"
    fi
    "$@" -query query.fa -out result.out
}

# add_evalues FORMAT: the rows of table.out with the E-values of archive.asn, which are in the same order (sum_e is that
# of linked HSPs); fails when there are more or fewer of them. In format 7 the parts of an archive are closed one by one,
# where BLAST closes once.
add_evalues() {
    sed -n '/^ *id str "\(e_value\|sum_e\)",$/{n;s/^ *value real { \([0-9]*\), 10, \(-\{0,1\}[0-9]*\) }$/\1e\2/p}' \
        archive.asn >evalues || return
    awk -v commented="$([[ $1 == 7 ]] && echo 1)" '
        commented && !rows && /^# BLAST processed [0-9]+ queries$/ { queries += $4; next }
        commented && !rows { if (/^# [0-9]+ hits found$/) rows = $2; print; next }
        (getline evalue < "evalues") != 1 { failed = 1; exit }
        { rows--; print $0 "\t" evalue }
        END {
            if (failed || (getline evalue < "evalues") == 1) exit 1
            if (commented) print "# BLAST processed " queries " queries"
        }' table.out >result.out
}

check_version
# "blastn: 2.12.0+" is the first line; the provenance of the result names the program that really ran.
version=$("$1" -version 2>/dev/null | sed -n '1s/^[a-z]*: *\([0-9][0-9.]*+\{0,1\}\).*/\1/p')
say "run: $*"
started=$(date +%s.%N)
search "$@"
code=$?
seconds=$(awk -v a="$started" -v b="$(date +%s.%N)" 'BEGIN { printf "%.3f", b - a }')
check_version
if [[ $code -ne 0 ]]; then
    say "BLAST ended with exit code $code after $seconds s"
    case $code in
        [1-6]) exit "$code" ;;
        137) exit 4 ;; # the kernel killed BLAST for its memory
        *) exit 70 ;;
    esac
fi
say "BLAST ended after $seconds s, $(wc -c <result.out) bytes"

gzip -1 --no-name result.out || exit 70
transfer "$ELB_RESULT_URL" 74 --output upload.out --upload-file result.out.gz \
    --header 'x-ms-blob-type: BlockBlob' --header 'x-ms-version: 2021-12-02' \
    --header 'Content-Type: application/gzip' --header "x-ms-meta-blast_seconds: $seconds" \
    --header "x-ms-meta-blast_version: $version"
say "uploaded $(wc -c <result.out.gz) bytes"

# A wake-up only: a lost or refused call changes nothing, the next look at the cluster finds this Job anyway.
if [[ -n ${ELB_CALLBACK_URL:-} ]]; then
    curl --silent --output /dev/null --max-time 5 --request POST --data '' \
        --header "X-Elb-Token: ${ELB_CALLBACK_TOKEN:-}" "$ELB_CALLBACK_URL" || say "call-back not delivered"
fi
exit 0
