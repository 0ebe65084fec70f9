# SPDX-License-Identifier: BSD-2-Clause
# bash completion for uds(1)

_uds_options()
{
	local index="--offset --zones" save="--save-time"

	case $1 in
	create)
		echo "--memory --sparse --chapters --record-pages --page-size --sparse-chapters" \
			"--sample-rate --nonce --nonce-data --size --no-extras --create-image --force $index $save"
		;;
	info) echo "--resident $index" ;;
	find) ;;
	scan)
		echo "--index --block-size --top --directories --first-seen --sparse --readers" \
			"--one-file-system --no-save --checkpoint-interval --nonce $index $save"
		;;
	verify) echo "--repair --lose-records --nonce $index $save" ;;
	dump) echo "--nonce $index" ;;
	recover) echo "--ignore-saves --lose-records --skip-unreadable --nonce $index $save" ;;
	load | exec | post | update | query | peek | delete) echo "--no-save --checkpoint-interval --nonce $index $save" ;;
	"snapshot create") echo "--chunk-size --size --create-image --force" ;;
	"snapshot info") echo "--salvage" ;;
	"snapshot list") echo "--ranges --salvage" ;;
	"snapshot read") echo "--origin --offset --length --output --sparse --salvage" ;;
	"snapshot diff") echo "--origin --equal --output" ;;
	"snapshot write") echo "--origin --offset" ;;
	"snapshot write-origin") echo "--origin --offset --cow" ;;
	"snapshot merge") echo "--origin --limit --dry-run --rate --skip-equal --force --salvage --cow" ;;
	"snapshot serve") echo "--origin --cow --socket --show-origin --write --plugin --salvage" ;;
	"snapshot verify") echo "--origin" ;;
	"shards create" | "shards info" | "shards verify") ;;
	"shards add" | "shards remove") echo "--zones" ;;
	"shards resume") echo "--abandon --zones" ;;
	"vdo audit") echo "--sample" ;;
	"vdo prime") echo "--create --all --dirty --zones" ;;
	*) return ;;
	esac
	echo "--help --json --quiet"
}

_uds()
{
	local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command
	local commands="create info find scan verify recover dump load exec post update query peek delete"
	local vdo="audit prime" shards="create info add remove resume verify" snapshot="create info list read diff write write-origin merge verify serve"

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$commands snapshot vdo shards help --help --version" -- \
			"$current")
		return
	fi
	command=${COMP_WORDS[1]}
	if [[ $command == help ]]; then
		if ((COMP_CWORD == 2)); then
			mapfile -t COMPREPLY < <(compgen -W "$commands snapshot vdo shards" -- "$current")
		elif [[ ${COMP_WORDS[2]} == snapshot ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$snapshot" -- "$current")
		elif [[ ${COMP_WORDS[2]} == vdo ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$vdo" -- "$current")
		elif [[ ${COMP_WORDS[2]} == shards ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$shards" -- "$current")
		fi
		return
	fi
	if [[ $command == snapshot ]]; then
		if ((COMP_CWORD == 2)); then
			mapfile -t COMPREPLY < <(compgen -W "$snapshot --help" -- "$current")
			return
		fi
		command="snapshot ${COMP_WORDS[2]}"
	fi
	if [[ $command == vdo ]]; then
		if ((COMP_CWORD == 2)); then
			mapfile -t COMPREPLY < <(compgen -W "$vdo --help" -- "$current")
			return
		fi
		command="vdo ${COMP_WORDS[2]}"
	fi
	if [[ $command == shards ]]; then
		if ((COMP_CWORD == 2)); then
			mapfile -t COMPREPLY < <(compgen -W "$shards --help" -- "$current")
			return
		fi
		command="shards ${COMP_WORDS[2]}"
	fi
	case $before in
	--memory)
		mapfile -t COMPREPLY < <(compgen -W "256M 512M 768M 1G 2G 4G" -- "$current")
		return
		;;
	--block-size | --chunk-size | --page-size)
		mapfile -t COMPREPLY < <(compgen -W "4K 8K 16K 32K 64K" -- "$current")
		return
		;;
	--offset | --zones | --save-time | --checkpoint-interval | --chapters | --record-pages | --sparse-chapters | \
		--sample-rate | --nonce | --nonce-data | --size | --top | --sample | --readers | --length | \
		--limit | --rate)
		return
		;;
	esac
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_uds_options "$command")" -- "$current")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		compopt -o filenames 2>/dev/null
	fi
}

complete -F _uds uds
