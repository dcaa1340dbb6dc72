package testport_test

import (
	"net"
	"testing"

	"mdpgateway/internal/testport"
)

func TestAReservedPortIsFreeAndNoOthers(t *testing.T) {
	given := map[string]bool{}
	for range 500 {
		address := testport.Address(t)
		if given[address] {
			t.Fatalf("%s is given twice", address)
		}
		given[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}
