# The common part of the setup scripts, which source it. A script declares what it
# needs, and whatever this machine lacks is installed from Debian. `need` looks for
# the thing itself and not for its package: that is quick, prints nothing if all is
# there, and accepts what was installed in another way.

missing=() # Debian's packages for what was not found

need() { # need PACKAGE COMMAND…: the package is missing if the command fails
	local package=$1
	shift
	"$@" >/dev/null 2>&1 || missing+=("$package")
}

have_python() { # have_python MODULE: asks the system's own Python; the first one in PATH may be another
	/usr/bin/python3 -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"
}

install_missing() { # needs root only if something is missing
	if ((${#missing[@]} == 0)); then
		return
	fi
	local name install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
	name=$(basename "$0" .sh)
	if ! command -v apt-get >/dev/null; then
		echo "$name: missing ${missing[*]} (Debian's names): install them with this system's package manager" >&2
		exit 1
	fi
	if ((EUID != 0)); then
		echo "$name: missing ${missing[*]}; as root: $install" >&2
		exit 1
	fi
	echo "$name: installing ${missing[*]}" >&2
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq </dev/null >&2
	apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
}
