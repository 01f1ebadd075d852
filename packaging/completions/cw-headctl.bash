# bash completion of cw-headctl; made by `python -m tests.support.completion_files` from the command table.

_cw_headctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local path= kind= word i ends=
    local -a nouns=() options=() asked=() candidates=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --) ends=yes ;;
        --ca-sha256|--config|--head|--head-uid|--lifespan|--lines|--peer|--permissions|--priority|--request|--since|--socket|--subject|--timeout|--token|--token-file|--unit)
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            ((i + 1 < COMP_CWORD)) && case $word in
            --head|--socket) asked+=("$word" "${COMP_WORDS[i + 1]}") ;;
            esac
            ((i++)) ;;
        --watch) [[ ${COMP_WORDS[i + 1]} == [0-9]* ]] && ((i++)) ;;
        -*) ;;
        *)
            case $path in
            '') path=$word ;;
            heads|services|files|database|config|ca) path="$path $word" ;;
            esac ;;
        esac
    done
    case $path in
        '') nouns=(status doctor logs heads services files database join leave token ca config) ;;
        'heads') nouns=(ls show down evict); options=() ;;
        'services') nouns=(ls watch start stop restart reload enable disable); options=() ;;
        'files') nouns=(unused rm references trash restore empty-trash); options=() ;;
        'database') nouns=(clean check save load backups backup migrate recover restore); options=() ;;
        'config') nouns=(check apply); options=(--config) ;;
        'ca') nouns=(show rotate); options=() ;;
        'status') options=(); kind=none ;;
        'doctor') options=(--config); kind=none ;;
        'logs') options=(--follow --lines --since --unit --request --peer --head-uid --audit --priority --explain --engine); kind=none ;;
        'heads ls') options=(); kind=none ;;
        'heads show') options=(); kind=heads ;;
        'heads down') options=(); kind=none ;;
        'heads evict') options=(--down --dry-run --force); kind=heads ;;
        'services ls') options=(); kind=none ;;
        'services watch') options=(); kind=services ;;
        'services start') options=(); kind=services ;;
        'services stop') options=(); kind=services ;;
        'services restart') options=(); kind=services ;;
        'services reload') options=(); kind=services ;;
        'services enable') options=(--now); kind=services ;;
        'services disable') options=(--now); kind=services ;;
        'files unused') options=(); kind=none ;;
        'files rm') options=(--dry-run --force); kind=unused ;;
        'files references') options=(); kind=none ;;
        'files trash') options=(); kind=none ;;
        'files restore') options=(); kind=trash ;;
        'files empty-trash') options=(--dry-run); kind=none ;;
        'database clean') options=(--dry-run); kind=none ;;
        'database check') options=(); kind=none ;;
        'database save') options=(--force); kind=file ;;
        'database load') options=(--dry-run); kind=file ;;
        'database backups') options=(); kind=none ;;
        'database backup') options=(); kind=none ;;
        'database migrate') options=(); kind=none ;;
        'database recover') options=(); kind=none ;;
        'database restore') options=(); kind=backups ;;
        'join') options=(--token --ca-sha256 --force); kind=none ;;
        'leave') options=(); kind=none ;;
        'token') options=(--lifespan --permissions --join --subject); kind=none ;;
        'ca show') options=(); kind=none ;;
        'ca rotate') options=(); kind=none ;;
        'config check') options=(--config); kind=none ;;
        'config apply') options=(--config); kind=none ;;
    esac
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $previous in
        --head) kind=heads ;;
        --token-file) kind=file ;;
        --timeout) kind=none ;;
        --socket) kind=file ;;
        --config) kind=file ;;
        --lines) kind=none ;;
        --since) kind=none ;;
        --unit) kind=services ;;
        --request) kind=none ;;
        --peer) kind=heads ;;
        --head-uid) kind=heads ;;
        --priority) kind=none ;;
        --token) kind=none ;;
        --ca-sha256) kind=none ;;
        --lifespan) kind=none ;;
        --permissions) kind=none ;;
        --subject) kind=none ;;
        *) previous= ;;
    esac
    if [[ $current == -* && -z $previous && -z $ends ]]; then
        candidates=("${options[@]}")
        candidates+=(--json --head --all-heads --token-file --watch --timeout --yes --socket --help)
    elif [[ $kind == file ]]; then
        compopt -o filenames 2> /dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    else
        candidates=("${nouns[@]}")
        [[ -n $previous ]] && candidates=()
        if [[ -n $kind && $kind != none ]]; then
            mapfile -t -O "${#candidates[@]}" candidates < <(cw-headctl "${asked[@]}" complete "$kind" 2> /dev/null)
        fi
    fi
    # Not with compgen -W, which would run what a file's name has in $(...).
    COMPREPLY=()
    for word in "${candidates[@]}"; do
        [[ $word == "${current//\\/}"* ]] && COMPREPLY+=("$(printf %q "$word")")
    done
}
complete -F _cw_headctl cw-headctl
