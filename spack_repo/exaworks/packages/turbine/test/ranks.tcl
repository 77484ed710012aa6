# A server and a worker start, and the worker says so.
package require turbine 1.0

adlb::init 1 1
if [ adlb::amserver ] {
    adlb::server
} else {
    puts "turbine-ran"
}
adlb::finalize 1
