# Start a server and a worker; the worker prints a line.
package require turbine 1.0

adlb::init 1 1
if [ adlb::amserver ] {
    adlb::server
} else {
    puts "turbine-ran"
}
adlb::finalize 1
