package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A wire is a network namespace and a cable to it: a TUN device at each end, between
// which the test carries packets, or drops them. So real packets of real connections are
// lost on every kernel with TUN devices, also without qdiscs and filters.
type wire struct {
	// Set once.
	t         testing.TB
	namespace string
	device    string // of this end
	here      string // its address
	address   string // of the other end

	loss    atomic.Int64 // dropped packets, percent
	delay   atomic.Int64 // of each packet, a time.Duration
	carried atomic.Int64
	dropped atomic.Int64
}

// newWire lays a wire, or returns why this machine does not allow it: that needs
// root, TUN devices, and for `ip -n` a root directory that is a mount point, which a
// chroot on a plain directory lacks.
func newWire(t testing.TB) (*wire, error) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, err
	}
	n := rand.IntN(1 << 15) // 198.18.0.0/15 is for tests (RFC 2544); a /30 of it is ours
	net := fmt.Sprintf("198.%d.%d.", 18+n>>14, n>>6&255)
	w := &wire{t: t, namespace: fmt.Sprintf("wire%d", n), device: fmt.Sprintf("near%d", n)}
	w.here, w.address = fmt.Sprint(net, n&63<<2+1), fmt.Sprint(net, n&63<<2+2)
	near, err := openTUN(w.device)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = near.Close() })
	far, err := openTUN(fmt.Sprintf("far%d", n))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = far.Close() })
	if err := ip("netns", "add", w.namespace); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := ip("netns", "delete", w.namespace); err != nil {
			t.Error(err)
		}
	})
	for _, command := range []string{
		fmt.Sprintf("link set far%d netns %s", n, w.namespace),
		fmt.Sprintf("-n %s link set lo up", w.namespace),
		fmt.Sprintf("-n %s address add %s/30 dev far%d", w.namespace, w.address, n),
		fmt.Sprintf("-n %s link set far%d up", w.namespace, n),
		fmt.Sprintf("address add %s/30 dev %s", w.here, w.device),
		fmt.Sprintf("link set %s up", w.device),
	} {
		if err := ip(strings.Fields(command)...); err != nil {
			return nil, err
		}
	}
	var carriers sync.WaitGroup
	carriers.Go(func() { w.carry(far, near) })
	carriers.Go(func() { w.carry(near, far) })
	t.Cleanup(func() {
		_, _ = near.Close(), far.Close()
		carriers.Wait()
	})
	return w, nil
}

// openTUN creates a device. Its packets are read from the file and written to it.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("a TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// carry takes packets one way until the devices are closed. A packet that a device
// refuses, because it is down, is lost.
func (w *wire) carry(to, from *os.File) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil: // the device is down
			<-time.After(time.Millisecond)
		case rand.Int64N(100) < w.loss.Load():
			w.dropped.Add(1)
		default:
			w.carried.Add(1)
			w.deliver(to, buffer[:n])
		}
	}
}

func (w *wire) deliver(to *os.File, packet []byte) {
	if delay := time.Duration(w.delay.Load()); delay > 0 {
		packet = append([]byte(nil), packet...)
		time.AfterFunc(delay, func() { _, _ = to.Write(packet) })
		return
	}
	_, _ = to.Write(packet)
}

// link sets this end up or down.
func (w *wire) link(state string) {
	w.t.Helper()
	if err := ip("link", "set", w.device, state); err != nil {
		w.t.Fatal(err)
	}
}

// there returns a command that runs a program at the other end.
func (w *wire) there(command ...string) []string {
	return append([]string{"ip", "netns", "exec", w.namespace}, command...)
}

func (w *wire) String() string {
	return fmt.Sprintf("%d packets carried, %d dropped", w.carried.Load(), w.dropped.Load())
}
