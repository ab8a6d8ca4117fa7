import Foundation
import Simulator

// --mutants [--seeds N] [--seconds N] [--from-first-seed] [--only NAME]: every mutant, or one, must be caught by the
// simulator. PROFILE FIRST COUNT [REPLICAS] [SHARDS] [log]: seeds of one profile; QUORATE_MUTANT=NAME breaks the
// protocol.
let arguments = CommandLine.arguments
if arguments.contains("--mutants") {
    exit(MutantSearch(arguments).run())
} else {
    exit(SeedSweep.run(arguments))
}
