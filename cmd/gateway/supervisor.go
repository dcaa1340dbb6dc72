package main

import (
	"net"

	"go.uber.org/zap"
)

// A supervisor is the socket at which the service manager waits to be told how
// the process is (systemd's sd_notify, Type=notify); empty if none does.
type supervisor string

// The states that it understands.
const (
	nowReady    = "READY=1"
	nowStopping = "STOPPING=1"
)

// tell reports a state. The gateway serves even if the manager can't be
// told, so an error is only logged: the manager ends what it does not see get ready.
func (s supervisor) tell(state string, log *zap.Logger) {
	if s == "" {
		return
	}
	conn, err := net.Dial("unixgram", string(s)) // @ begins an abstract name in both worlds
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close()
	}
	if err != nil {
		log.Warn("the service manager can't be reached", zap.String("state", state), zap.Error(err))
	}
}
