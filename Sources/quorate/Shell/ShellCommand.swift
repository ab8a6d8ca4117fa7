import ArgumentParser
import Foundation

struct ShellCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell",
        abstract: "Give one command after another to a cluster, with history and completion; or a script.",
        discussion: """
            Each line is a command of quorate, without its first word, and about one cluster:

              quorate shell --cluster demo
              demo> account create alice --issue 1000
              demo> transfer alice bob 5              # quorate transfer alice bob 5 --cluster demo
              demo> status                            # quorate cluster status demo
              demo> kill-host 2                       # quorate cluster kill-host demo 2
              demo> help

            Words are quoted as in a POSIX shell ('…', "…", \\), but nothing is expanded, and there are no pipes. What begins \
            with # is a comment. Tab completes commands, options, accounts, procedures and receipts. Ctrl-C interrupts the \
            command that runs, and not the shell; Ctrl-D ends it, as do exit and quit.

            Lines are remembered in shell-history in the cluster's folder, which only its owner can read. One that begins \
            with a blank is not, nor is one with an option for a secret.

            Where standard input is no terminal, its lines are run without a prompt:

              quorate shell --cluster demo --stop-on-error <<'END'
              account create carol --issue 100
              transfer carol alice 7
              END

            The exit code is that of the last line that failed, or 0. bench, drill, demo and simulate make clusters of \
            their own, and do not run in here.
            """,
        aliases: ["repl"])

    @OptionGroup var cluster: ClusterOption
    @Flag(name: .customLong("stop-on-error"), help: "Of a script: end at the first line that fails.") var stopOnError =
        false
    @Flag(help: "Of a script: print each line before it is run.") var echo = false
    @Flag(help: "Give --json to every command.") var json = false

    /// Whether somebody types.
    private var isInteractive: Bool {
        TerminalMode.isForeground(STDIN_FILENO) && (isatty(STDOUT_FILENO) == 1 || isatty(STDERR_FILENO) == 1)
    }

    /// An interrupt is for the command that runs; a script ends with it.
    var interrupts: Set<Int32> { isInteractive ? [SIGTERM, SIGHUP] : [SIGINT, SIGTERM, SIGHUP] }

    func execute() async throws {
        let folder = try cluster.open().folder.path
        // Also for commands that do not ask the cluster, and so are given no option.
        setenv(ClusterDirectory.variable, folder, 1)
        let session = ShellSession(line: ShellLine(cluster: folder, json: json), folder: folder)
        guard !isInteractive else { return try await session.converse() }
        let code = try await session.run(stopOnError: stopOnError, echo: echo)
        // The line that failed has said why.
        Console.hasAnswered()
        if code != 0 { throw ExitCode(code) }
    }
}
