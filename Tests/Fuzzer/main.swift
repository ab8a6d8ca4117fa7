import CLibFuzzer
import FuzzTargets
import Glibc
import Randomness

// usage: quorate-fuzz --targets | quorate-fuzz TARGET --seeds FOLDER | quorate-fuzz TARGET --length |
//        quorate-fuzz TARGET [libFuzzer's options] FOLDER-OR-FILE ...

/// Set once, before libFuzzer's first call.
nonisolated(unsafe) private var target = FuzzTarget.all[0]

private func say(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = write(STDERR_FILENO, line, line.count)
}

private func fail(_ text: String) -> Never {
    say("error: \(text)")
    exit(2)
}

/// As a program ends that has trapped, so that libFuzzer keeps the input.
private func report(_ finding: FuzzFinding) -> Never {
    say("finding of \(target): \(finding)")
    abort()
}

@_cdecl("LLVMFuzzerCustomMutator")
private func mutate(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ maxSize: Int, _ seed: UInt32) -> Int {
    // Half of the changes are libFuzzer's, which knows what was compared.
    guard seed % 2 == 0 else { return LLVMFuzzerMutate(data, size, maxSize) }
    var mutation = Mutation(seed: UInt64(seed), target: target, maxLength: maxSize)
    let changed = mutation.change(Array(UnsafeBufferPointer(start: data, count: size)))
    for (i, byte) in changed.enumerated() { data[i] = byte }
    return changed.count
}

let arguments = CommandLine.arguments
if arguments.count == 2, arguments[1] == "--targets" {
    for target in FuzzTarget.all { print(target) }
    exit(0)
}
// libFuzzer starts itself again to merge, by its own arguments.
private let variable = "QUORATE_FUZZ_TARGET"
private let inherited = getenv(variable).flatMap { FuzzTarget.named(String(cString: $0)) }
private let isStartedAgain = inherited != nil && arguments.count > 1 && arguments[1].hasPrefix("-")
guard arguments.count > 1, let chosen = isStartedAgain ? inherited : FuzzTarget.named(arguments[1]) else {
    fail("the first argument is one of \(FuzzTarget.all.map(\.name).joined(separator: ", "))")
}
target = chosen
setenv(variable, target.name, 1)
if arguments.count == 3, arguments[2] == "--length" {
    print(target.maxLength)
    exit(0)
}
if arguments.count == 4, arguments[2] == "--seeds" {
    for (i, seed) in try target.seeds().enumerated() {
        guard let file = fopen("\(arguments[3])/seed-\(i)", "w") else { fail("\(arguments[3]) cannot be written to") }
        fwrite(seed, 1, seed.count, file)
        fclose(file)
    }
    exit(0)
}

// The rest of the arguments is libFuzzer's.
let passed = [arguments[0]] + arguments.dropFirst(isStartedAgain ? 1 : 2)
var count = Int32(passed.count)
var pointers = passed.map { strdup($0) } + [nil]
pointers.withUnsafeMutableBufferPointer { buffer in
    var base = buffer.baseAddress
    withUnsafeMutablePointer(to: &base) { base in
        base.withMemoryRebound(to: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?.self, capacity: 1) { base in
            exit(
                LLVMFuzzerRunDriver(&count, base) { data, size in
                    let bytes = Array(UnsafeBufferPointer(start: data, count: size))
                    do throws(FuzzFinding) { _ = try target.run(bytes) } catch { report(error) }
                    return 0
                })
        }
    }
}
