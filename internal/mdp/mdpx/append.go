package mdpx

import (
	"encoding/binary"

	"mdpgateway/internal/mdp"
)

// AppendRequest appends the frames of a REQUEST to dst; without body it sends one empty
// frame. The result shares memory with the arguments. The error says that no service can
// have that name.
//
//	MDPX01 \x01 id service ttl body…
func AppendRequest(dst [][]byte, id *ID, ttl *TTL, service []byte, body [][]byte) ([][]byte, error) {
	if err := CheckService(service); err != nil {
		return dst, err
	}
	dst = append(dst, header, Request.frame(), id[:], service, ttl[:])
	if len(body) == 0 {
		return append(dst, nil), nil
	}
	return append(dst, body...), nil
}

// CheckService says why a name can't be that of a service that is requested: beside what
// mdp.CheckService refuses, there is no mmi.* here.
func CheckService(name []byte) error {
	if err := mdp.CheckService(name); err != nil {
		return err
	}
	if mdp.IsMMI(name) {
		return unfit(mdp.ReasonName, "a request of service %q, want WATCH", name)
	}
	return nil
}

// AppendCancel appends the frames of a CANCEL. The result shares memory with id.
//
//	MDPX01 \x02 id
func AppendCancel(dst [][]byte, id *ID) [][]byte { return append(dst, header, Cancel.frame(), id[:]) }

// AppendWatch appends the frames of a WATCH.
//
//	MDPX01 \x03
func AppendWatch(dst [][]byte) [][]byte { return append(dst, header, Watch.frame()) }

// AppendHeartbeat appends the frames of a gateway's HEARTBEAT.
//
//	MDPX01 \x04
func AppendHeartbeat(dst [][]byte) [][]byte { return append(dst, header, Heartbeat.frame()) }

// AppendReply appends the frames of a PARTIAL or FINAL. The result shares memory with the
// arguments.
//
//	MDPX01 \x11 id body… (PARTIAL), MDPX01 \x12 id body… (FINAL)
func AppendReply(dst [][]byte, id *ID, body [][]byte, final bool) [][]byte {
	command := Partial
	if final {
		command = Final
	}
	return append(append(dst, header, command.frame(), id[:]), body...)
}

// AppendRefused appends the frames of a REFUSED. The result shares memory with id.
//
//	MDPX01 \x13 id code
func AppendRefused(dst [][]byte, id *ID, code Code) [][]byte {
	return append(dst, header, Refused.frame(), id[:], []byte(code))
}

// AppendGone appends the frames of a GONE. The result shares memory with id.
//
//	MDPX01 \x14 id code
func AppendGone(dst [][]byte, id *ID, code Code) [][]byte {
	return append(dst, header, Gone.frame(), id[:], []byte(code))
}

// AppendServices appends the frames of a SERVICES: of each service its name, and a frame of
// three big-endian numbers of 4 bytes: its workers, how many of them are busy, and its queued
// requests.
//
//	MDPX01 \x15 (service workers+busy+queued)…
func AppendServices(dst [][]byte, services []Service) [][]byte {
	dst = append(dst, header, Services.frame())
	for _, s := range services {
		counts := make([]byte, 0, countBytes)
		for _, n := range []uint32{s.Workers, s.Busy, s.Queued} {
			counts = binary.BigEndian.AppendUint32(counts, n)
		}
		dst = append(dst, []byte(s.Name), counts)
	}
	return dst
}

// countBytes is the length of the frame after a service's name.
const countBytes = 3 * 4

// AppendHeartbeatReply appends the frames of a broker's HEARTBEAT.
//
//	MDPX01 \x16
func AppendHeartbeatReply(dst [][]byte) [][]byte { return append(dst, header, HeartbeatReply.frame()) }
