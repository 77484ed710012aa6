package ifneeded leaves 1.0 [list source [file join $dir leaves.tcl]]
