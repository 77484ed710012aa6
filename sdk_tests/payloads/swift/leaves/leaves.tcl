# Leaf functions in Tcl for the Swift programs in the parent folder.

package provide leaves 1.0

namespace eval leaves {

    # Return the square of a number; write the rank that computed it to a file.
    proc square { i } {
        set trace [ open "traces/$i" w ]
        puts $trace [ adlb::comm_rank ]
        close $trace
        return [ expr { $i * $i } ]
    }

    # Return the reversed text and its length.
    proc measure { text } {
        return [ list [ string reverse $text ] [ string length $text ] ]
    }

    # Return the number minus one; append a line with the start and end times, in seconds, to a file.
    proc probe { i } {
        set began [ now $i ]
        set trace [ open "probes" a ]
        puts $trace "$began [ now $i ]"
        close $trace
        return [ expr { $i - 1 } ]
    }

    # Return the time in seconds; the argument only creates a dependency.
    proc now { i } {
        return [ expr { [ clock microseconds ] / 1000000.0 } ]
    }

    # A task of several ranks: Turbine calls this on one of them; args contains the requested number of ranks.
    proc together { outputs inputs args } {
        rule $inputs "leaves::together_body $outputs $inputs" {*}$args type $turbine::WORK
    }

    # The body on every rank: only the first rank has the number; the others receive it by MPI.
    proc together_body { output input } {
        set comm [ turbine::c::task_comm_int ]
        set rank [ adlb::comm_rank $comm ]
        set size [ adlb::comm_size $comm ]
        set number 0
        if { $rank == 0 } { set number [ retrieve_decr_integer $input ] }
        turbine::c::bcast $comm 0 number
        set trace [ open "traces/$number.$rank" w ]
        puts $trace "[ adlb::comm_rank ] $size [ pid ]"
        close $trace
        if { $rank == 0 } { store_integer $output [ expr { $number * $number } ] }
    }
}
