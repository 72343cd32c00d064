# Sourced by the scripts one folder up. POSIX sh. It makes .venv with exactly the pinned packages, and is quick where
# nothing has changed since. All it prints goes to stderr: stdout belongs to the program. Exit 5: something is missing.

root=$(cd "$(dirname "$0")/.." && pwd -P)
venv=$root/.venv
python=$venv/bin/python
log=$root/.cache/set-up.log
done_with=$venv/.set-up # copies of what was installed: comparing files needs no checksum program
unset PYTHONPATH PYTHONHOME # another Python's packages would hide the pinned ones

say() { printf '%s\n' "$*" >&2; }

missing() {
	say "$@"
	exit 5
}

can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

# Runs a command with its output in the log; shows the end of it where the command fails.
logged() {
	mkdir -p "$root/.cache" || missing "Cannot write to $root: copy the folder to a place of your own."
	if "$@" >"$log" 2>&1 </dev/null; then return 0; fi
	tail -n 15 "$log" >&2
	return 1
}

# Debian starts a service as soon as its package is installed; a file that answers 101 is its own way to forbid that.
apt_install() {
	say "Installing Debian packages: $*"
	hold=/usr/sbin/policy-rc.d
	if [ ! -e "$hold" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$hold" && chmod 755 "$hold"
		trap 'rm -f "$hold"' EXIT
		trap 'exit 130' INT TERM
		made_hold=yes
	fi
	# A new machine may still be updating itself, hence the wait for the lock.
	logged apt-get -q -o DPkg::Lock::Timeout=300 update &&
		logged env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
			install --no-install-recommends "$@"
	apt_answer=$?
	if [ "${made_hold:-}" ]; then
		rm -f "$hold"
		trap - EXIT INT TERM
	fi
	return $apt_answer
}

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
	for found in python3 python3.13 python3.12 python3.11 python3.14; do
		if fits "$found"; then return 0; fi
	done
	return 1
}

find_or_install_python() {
	if find_python; then return 0; fi
	if can_apt; then apt_install python3 && find_python && return 0; fi
	missing "Python 3.11 or newer is needed and was not found. Type: sudo apt-get install python3 python3-venv"
}

# Debian ships Python without ensurepip, so "python3 -m venv" fails there until python3-venv is installed.
make_venv() {
	find_or_install_python
	say "Making .venv with $("$found" --version)"
	if ! "$found" -c 'import ensurepip' 2>/dev/null && can_apt; then
		apt_install "$("$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" || true
	fi
	if "$found" -c 'import ensurepip' 2>/dev/null; then
		logged "$found" -m venv --clear "$venv" && return 0
	elif "$found" -m pip --version >/dev/null 2>&1; then
		logged "$found" -m venv --clear --without-pip "$venv" && return 0
	elif command -v virtualenv >/dev/null 2>&1; then
		logged virtualenv --clear --python "$found" "$venv" && return 0
	fi
	missing "Python's venv module is missing and could not be installed. Type: sudo apt-get install python3-venv"
}

# A moved folder breaks the paths inside .venv, an upgraded system the interpreter; both mean making it anew.
venv_is_usable() {
	fits "$python" || return 1
	[ ! -e "$done_with/root" ] || [ "$(cat "$done_with/root")" = "$root" ]
}

# pip of .venv, else the system's pip working on .venv.
pip() {
	if "$python" -c 'import pip' 2>/dev/null; then
		"$python" -m pip "$@"
	else
		find_python && "$found" -m pip --python "$python" "$@"
	fi
}

install_pinned() {
	say "Installing $(grep -c == "$root/$1") pinned packages into .venv, which takes a minute or two (log: .cache/set-up.log)"
	# --no-deps: the file is complete, so nothing is left to resolve.
	logged pip install --no-deps --require-hashes --progress-bar off -r "$root/$1" ||
		missing "The packages of $1 could not be installed. Is the package registry within reach? pip's own settings apply" \
			"(pip config, PIP_INDEX_URL, PIP_PROXY). Then run this again."
}

# The checkout itself is the installed program: a path file and a command, so that an edited file counts at once.
link_project() {
	packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	printf '%s\n' "$root" >"$packages/broadcaster-checkout.pth"
	cp "$root/scripts/lib/broadcaster" "$venv/bin/broadcaster"
	chmod 755 "$venv/bin/broadcaster"
}

# The jars of the broker that tests start. The copy of the list says that they are complete.
fetch_kafka() {
	say "Fetching a Kafka broker for the tests by Maven (log: .cache/set-up.log)"
	rm -rf "$root/.cache/kafka"
	logged mvn -q -B -f "$root/tests/broker/pom.xml" dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$root/.cache/kafka/libs" &&
		cp "$root/tests/broker/pom.xml" "$root/.cache/kafka/pom.xml"
}

# The SMPP library of the SMS centre that tests start. The copy of the list, made last, says that it is complete.
fetch_smpp() {
	say "Fetching npm's smpp for the tests (log: .cache/set-up.log)"
	rm -rf "$root/.cache/smpp"
	mkdir -p "$root/.cache/smpp/new" && cp "$root/tests/kannel/package.json" "$root/.cache/smpp/new/" &&
		logged npm install --prefix "$root/.cache/smpp/new" --no-package-lock --no-audit --no-fund --ignore-scripts &&
		mv "$root/.cache/smpp/new/node_modules" "$root/.cache/smpp/" &&
		mv "$root/.cache/smpp/new/package.json" "$root/.cache/smpp/" && rmdir "$root/.cache/smpp/new"
}

installed() { cmp -s "$root/$1" "$done_with/$1"; }

# set_up requirements.txt|requirements-dev.txt; the second holds all of the first.
set_up() {
	if venv_is_usable && installed "$1"; then return 0; fi
	say "Set-up in $root (once):"
	venv_is_usable || make_venv
	rm -rf "$done_with"
	install_pinned "$1"
	link_project
	mkdir "$done_with"
	printf '%s' "$root" >"$done_with/root"
	cp "$root/requirements.txt" "$done_with/"
	if [ "$1" = requirements-dev.txt ]; then cp "$root/$1" "$done_with/"; fi
	say "Set-up finished."
}
