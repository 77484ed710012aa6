# Leaf functions in Tcl that the programs beside this folder call.

package provide leaves 1.0

namespace eval leaves {

    # The square of a number, and a file that names the rank which computed it.
    proc square { i } {
        set trace [ open "ran/$i" w ]
        puts $trace [ adlb::comm_rank ]
        close $trace
        return [ expr { $i * $i } ]
    }

    # A value and its unit, each by a command that only Tcl has.
    proc measure { text } {
        return [ list [ string reverse $text ] [ string length $text ] ]
    }

    # One less, and a line in a file: when this began and when it ended, in seconds.
    proc probe { i } {
        set began [ now $i ]
        set trace [ open "probes" a ]
        puts $trace "$began [ now $i ]"
        close $trace
        return [ expr { $i - 1 } ]
    }

    # The time in seconds; the argument is what it waits for.
    proc now { i } {
        return [ expr { [ clock microseconds ] / 1000000.0 } ]
    }

    # A task of several ranks: Turbine calls this on one of them, with the number asked for in args.
    proc together { outputs inputs args } {
        rule $inputs "leaves::together_body $outputs $inputs" {*}$args type $turbine::WORK
    }

    # The same on every rank: the first alone has the number, the others get it from it by MPI.
    proc together_body { output input } {
        set comm [ turbine::c::task_comm_int ]
        set rank [ adlb::comm_rank $comm ]
        set size [ adlb::comm_size $comm ]
        set number 0
        if { $rank == 0 } { set number [ retrieve_decr_integer $input ] }
        turbine::c::bcast $comm 0 number
        set trace [ open "ran/$number.$rank" w ]
        puts $trace "[ adlb::comm_rank ] $size [ pid ]"
        close $trace
        if { $rank == 0 } { store_integer $output [ expr { $number * $number } ] }
    }
}
