import Poll
import QuorateHost

await HostProgram.main(procedures: [Vote.self, Count.self])
