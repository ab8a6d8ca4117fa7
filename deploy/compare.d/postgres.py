"""PostgreSQL's side: one server a shard, on loopback, with fresh data for every load."""
import glob
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

import cases
import workload
from processes import FAILED, UNAVAILABLE, Problem, output, start, stop, tail

PACKAGES = "On Debian and Ubuntu, install it with \"apt-get install --no-install-recommends"
# It keeps its promises to the disk (fsync and synchronous_commit are on by default), and has room: nothing waits for
# connections, memory or an early checkpoint.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
}
# Nobody but the load's own role may connect, and that role may only touch the accounts: other users of the machine
# reach the port as well.
ACCESS = "host postgres quorate_load 127.0.0.1/32 trust\n"
START_SECONDS = 60


def find_programs():
    """The folder of the newest initdb and postgres. Debian has them outside of the PATH."""
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    folders.sort(key=lambda path: [int(part) for part in re.findall(r"\d+", path)], reverse=True)
    folders += os.environ.get("PATH", "").split(os.pathsep)
    for folder in folders:
        if all(os.access(os.path.join(folder, name), os.X_OK) for name in ("initdb", "postgres", "pg_isready")):
            return folder
    raise Problem(UNAVAILABLE, f"PostgreSQL is not installed. {PACKAGES} postgresql\"")


class Postgres:
    label = "PostgreSQL"

    def __init__(self, folder):
        self.programs = find_programs()
        self.folder = os.path.join(folder, "postgresql")
        self.account = self._account()
        self.templates = {}
        os.mkdir(self.folder, 0o700)
        if "user" in self.account:
            os.chown(self.folder, self.account["user"], self.account["group"])
        self.load = self._compile(os.path.join(folder, "transfers"))
        self.version = self._run("postgres", "--version").strip()

    def _account(self):
        # initdb and postgres refuse to run as root.
        if os.getuid() != 0:
            return {}
        try:
            entry = pwd.getpwnam("postgres")
        except KeyError:
            message = "PostgreSQL does not run as root, and there is no user \"postgres\". Run this as another user"
            raise Problem(UNAVAILABLE, message) from None
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _compile(self, program):
        compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
        if not compiler:
            raise Problem(UNAVAILABLE, f"the load for PostgreSQL needs a C compiler. {PACKAGES} gcc libc6-dev\"")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transfers.c")
        headers = ["-I/usr/include/postgresql"]
        if pg_config := shutil.which("pg_config"):
            asked = subprocess.run(
                [pg_config, "--includedir"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if asked.returncode == 0:
                headers.append("-I" + asked.stdout.strip())
        log = program + ".log"
        try:
            output([compiler, "-O2", *headers, "-o", program, source, "-lpq"], "compiling transfers.c", log, 120)
        except Problem as problem:
            with open(log, errors="replace") as file:
                said = file.read()
            if "libpq-fe.h" in said or "-lpq" in said:
                message = f"the load for PostgreSQL needs the client library libpq. {PACKAGES} libpq-dev\""
                raise Problem(UNAVAILABLE, message) from None
            raise Problem(UNAVAILABLE, str(problem)) from None
        return program

    def _run(self, program, *arguments, **options):
        log = os.path.join(self.folder, "..", "postgresql.log")
        path = os.path.join(self.programs, program)
        return output([path, *arguments], program, log, 120, cwd=self.folder, **self.account, **options).decode()

    def measure(self, load, made, seconds):
        clients = load.peer_clients or load.clients
        rows, folders = self._templates(load, made, seconds)
        servers = []
        try:
            for shard, template in enumerate(folders):
                data = os.path.join(self.folder, f"shard-{shard}")
                subprocess.run(["cp", "-a", "--", template, data], check=True, stdin=subprocess.DEVNULL)
                servers.append(Server(self, data, clients))
            # What copying and the run before have left to write must not meet the load.
            os.sync()
            arguments = [rows, str(clients), str(cases.warmup(seconds)), str(seconds)]
            log = os.path.join(self.folder, "..", "transfers.log")
            command = [self.load, *arguments, *(str(server.port) for server in servers)]
            return json.loads(output(command, "the load on PostgreSQL", log, 3 * seconds + 300))
        finally:
            for server in servers:
                server.end()
            for shard in range(load.shards):
                shutil.rmtree(os.path.join(self.folder, f"shard-{shard}"), ignore_errors=True)

    def _templates(self, load, made, seconds):
        """The file of the rows, and for each shard a folder of data with the accounts in it; made once, and copied for
        every load."""
        key = f"{load.workload}-{load.shards}-{load.cross}-{seconds}"
        if key not in self.templates:
            rows = made.rows if load.cross is None else workload.cross(made.rows, load.cross)
            path = os.path.join(self.folder, f"{key}.rows")
            workload.write_rows(rows, path)
            balances = workload.opening_balances(rows, seconds)
            folders = [self._template(f"{key}-{shard}", balances, shard, load.shards) for shard in range(load.shards)]
            self.templates[key] = (path, folders)
        return self.templates[key]

    def _template(self, name, balances, shard, shards):
        data = os.path.join(self.folder, name)
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "reject", "-E", "UTF8", "--locale=C", "--no-sync")
        with open(os.path.join(data, "pg_hba.conf"), "w") as file:
            file.write(ACCESS)
        accounts = os.path.join(self.folder, f"{name}.accounts")
        with open(accounts, "w") as file:
            file.writelines(f"{i},{balances[i]}\n" for i in range(shard, len(balances), shards))
        # Half of every page is left free, so that an update finds room beside the old version (HOT): the best case
        # for PostgreSQL.
        statements = [
            "create table account (id int primary key, balance bigint not null check (balance >= 0))"
            " with (fillfactor = 50)",
            "copy account from '{}' (format csv)".format(accounts.replace("'", "''")),
            "vacuum (freeze, analyze) account",
            "create role quorate_load login",
            "grant select, update on account to quorate_load",
        ]
        # In single-user mode nobody else can connect, and its end leaves nothing to replay. A line is a statement.
        script = os.path.join(self.folder, f"{name}.sql")
        with open(script, "w") as file:
            file.writelines(line + "\n" for line in statements)
        with open(script) as file:
            self._run("postgres", "--single", "-D", data, "-c", "exit_on_error=on", "postgres", stdin=file)
        return data


class Server:
    """One running instance."""

    def __init__(self, postgres, data, clients):
        self.log = os.path.join(data, "server.log")
        for _ in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.child = self._start(postgres, data, clients)
            if self._is_ready(postgres):
                return
            with open(self.log, errors="replace") as file:
                # Somebody else may have taken the port since; the next one is another.
                is_taken = "Address already in use" in file.read()
            self.end()
            if not is_taken:
                raise Problem(FAILED, f"PostgreSQL does not start{tail(self.log)}")
        raise Problem(FAILED, "five free ports of 127.0.0.1 were each taken before PostgreSQL could use them")

    def _start(self, postgres, data, clients):
        settings = SETTINGS | {
            "port": self.port, "max_connections": clients + 20, "max_prepared_transactions": clients + 20,
        }
        arguments = [os.path.join(postgres.programs, "postgres"), "-D", data]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        with open(self.log, "wb") as log:
            # SIGINT is its fast shutdown.
            return start(arguments, signal.SIGINT, stdout=log, stderr=log, cwd=data, **postgres.account)

    def _is_ready(self, postgres):
        probe = [os.path.join(postgres.programs, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + START_SECONDS
        while self.child.poll() is None and time.monotonic() < deadline:
            if subprocess.run(probe, stdin=subprocess.DEVNULL).returncode == 0:
                return True
            time.sleep(0.1)
        return False

    def end(self):
        # SIGQUIT ends it at once and without writing: its data is thrown away.
        stop(self.child, signal.SIGQUIT)
