package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mdpgateway/internal/certs"
	"mdpgateway/internal/yamlnode"
)

// doctorCmd is gateway doctor. It knows all settings of serve.
type doctorCmd struct {
	settings
	Wait time.Duration `default:"5s" given:"" placeholder:"DURATION" help:"Longest time for each step at a broker (${default})."`
}

// Help is kong.HelpProvider.
func (*doctorCmd) Help() string {
	return "It needs the settings of serve, and sends brokers nothing but questions about services (MMI). The exit code is 1 if something is wrong."
}

// errUnwell ends the command after its findings.
var errUnwell = errors.New("something is wrong, see above")

// The grades of a finding.
const (
	isOK   = "ok"
	isWarn = "warn"
	isFail = "fail"
)

// A report is where findings go: one line each, and below it what to do.
type report struct {
	to     io.Writer
	colour bool
	failed bool
}

var gradeColour = map[string]int{isOK: green, isWarn: yellow, isFail: red}

// say prints a finding. Advice is what to do, empty if nothing.
func (r *report) say(grade, what, finding, advice string) {
	r.failed = r.failed || grade == isFail
	fmt.Fprintf(r.to, "%s %s %s\n", paint(r.colour, gradeColour[grade], fmt.Sprintf("%-4s", grade)), column(what, 20), yamlnode.OneLine(finding))
	if advice != "" {
		fmt.Fprintf(r.to, "     %s → %s\n", column("", 20), advice)
	}
}

// check says ok with a finding, or fail with an error and what to do.
func (r *report) check(what string, err error, finding, advice string) bool {
	if err != nil {
		r.say(isFail, what, err.Error(), advice)
		return false
	}
	r.say(isOK, what, finding, "")
	return true
}

// Run looks at everything and fails if something is wrong.
func (c *doctorCmd) Run(p *process) error {
	r := &report{to: p.stdout, colour: isColourful(p.stdout)}
	err := c.finish(p.resolver)
	from := "defaults, flags and environment"
	if c.Config != "" {
		from = c.Config + ", flags and environment"
	}
	if !r.check("settings", err, from+" are valid", "correct this setting; docs/configuration.md has all of them") {
		return errUnwell
	}
	for _, e := range c.exposures() {
		r.say(isWarn, e.setting, e.value+": "+e.message, "docs/security.md says how to close it")
	}
	c.examineFiles(r)
	c.examineCertificates(r, time.Now())
	examineClock(r, time.Now())
	c.examineLimits(r)
	c.examinePorts(p, r)
	c.examineBrokers(p.ctx, r)
	if c.jobsInNATS() {
		c.examineNATS(p.ctx, r)
	}
	if r.failed {
		return errUnwell
	}
	return nil
}

// examineFiles looks at the files with secrets, and at those that are written.
func (c *doctorCmd) examineFiles(r *report) {
	for _, secret := range []struct{ setting, path string }{{"access-file", c.AccessFile}, {"keys-file", c.KeysFile}, {"tls-key", c.TLSKey},
		{"curve-key-file", c.CurveKeyFile}, {"jobs-nats-creds", c.JobsNATSCreds}} {
		if secret.path == "" {
			continue
		}
		info, err := os.Stat(secret.path)
		switch {
		case err != nil:
			r.say(isFail, secret.setting, err.Error(), "make it readable for this user")
		case info.Mode().Perm()&0o004 != 0:
			r.say(isWarn, secret.setting, secret.path+" can be read by every user of this machine", "chmod o-r "+secret.path)
		default:
			r.say(isOK, secret.setting, secret.path, "")
		}
	}
	if c.AuditLog != "" && c.AuditLog != "stderr" {
		r.check("audit-log", writable(c.AuditLog), c.AuditLog+" can be written", "create its directory, and let this user write there")
	}
	if c.Jobs != jobsOff && c.Jobs != jobsInMemory && !c.jobsInNATS() {
		r.check("jobs", writable(c.Jobs), c.Jobs+" can be written", "create the directory, and let this user write there")
	}
}

// examineNATS goes to every server of the jobs.
func (c *doctorCmd) examineNATS(ctx context.Context, r *report) {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	for server := range strings.SplitSeq(c.Jobs, ",") {
		u, err := url.Parse(server)
		if err == nil {
			var conn net.Conn
			if conn, err = new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "4222"))); err == nil {
				err = conn.Close()
			}
		}
		r.check("jobs", err, server+" is connected", "start the NATS server, compare host and port with where it listens, and look for a firewall between")
	}
}

// writable returns an error unless this user can write to a path, or make it.
func writable(path string) error {
	err := unix.Access(path, unix.W_OK)
	if errors.Is(err, fs.ErrNotExist) {
		path = filepath.Dir(path)
		err = unix.Access(path, unix.W_OK)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// soon is how long before its end a certificate is warned about.
const soon = 14 * 24 * time.Hour

func (c *doctorCmd) examineCertificates(r *report, now time.Time) {
	if c.Certs == nil {
		return
	}
	for _, d := range c.Certs.Dates() {
		judgeDate(r, d, now)
	}
}

// judgeDate says whether a file of TLS holds now.
func judgeDate(r *report, d certs.Date, now time.Time) {
	const renew = "renew it; the gateway reads it again by itself"
	ends := d.Ends.UTC().Format(time.RFC3339)
	switch {
	case d.Ends.IsZero():
		r.say(isOK, d.Setting, "has no end", "")
	case now.After(d.Ends):
		r.say(isFail, d.Setting, "ended at "+ends, renew)
	case now.Before(d.Issued):
		r.say(isFail, d.Setting, "holds from "+d.Issued.UTC().Format(time.RFC3339)+" only", "check the clock of this machine")
	case now.Add(soon).After(d.Ends):
		r.say(isWarn, d.Setting, "ends at "+ends, renew)
	default:
		r.say(isOK, d.Setting, "ends at "+ends, "")
	}
}

// examineClock looks at the clock, by which keys, tokens and certificates hold.
func examineClock(r *report, now time.Time) {
	shown := now.UTC().Format(time.RFC3339)
	synced, known := clockSynced()
	switch {
	case !known:
		r.say(isOK, "clock", shown+"; whether it is synchronized is not known", "")
	case synced:
		r.say(isOK, "clock", shown+", synchronized", "")
	default:
		r.say(isWarn, "clock", shown+"; the kernel does not know it to be synchronized", "run chrony or systemd-timesyncd: keys, tokens and certificates hold by it")
	}
}

// examineLimits looks at the limit of open files.
func (c *doctorCmd) examineLimits(r *report) {
	left := c.descriptorsLeft()
	if left >= c.MaxConnections {
		r.say(isOK, "open files", fmt.Sprintf("enough for --pool-max %d and --max-connections %d", c.PoolMax, c.MaxConnections), "")
		return
	}
	r.say(isWarn, "open files", fmt.Sprintf("--pool-max %d and --max-connections %d need %d more", c.PoolMax, c.MaxConnections, c.MaxConnections-left),
		"raise RLIMIT_NOFILE (ulimit -n, LimitNOFILE=), or lower the settings")
}

// examinePorts finds out whether the addresses to listen on are free. One that a gateway has already is as it should be,
// and so are then the others.
func (c *doctorCmd) examinePorts(p *process, r *report) {
	for _, s := range c.sockets() {
		running := port(s.address) != "0" && probe(p.ctx, s.url(s.address)+"/livez", c.host()) == nil
		if running {
			r.say(isOK, "listen", s.address+": a gateway answers there", "")
			return
		}
		r.check("listen", bindable(s.address), s.address+" is free", portAdvice)
	}
	if c.AdminListen != "" {
		r.check("admin-listen", bindable(c.AdminListen), c.AdminListen+" is free", portAdvice)
	}
	if address, tcp := cutTCP(c.EmbeddedBind); *c.Embedded && tcp && port(address) != "*" { // any free one
		r.check("embedded-bind", bindable(address), c.EmbeddedBind+" is free", portAdvice)
	}
}

const portAdvice = "stop the program that has the port (ss -ltnp), or take another address"

// bindable returns an error unless an address can be listened on.
func bindable(address string) error {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("another program listens on %s", address)
	}
	if err != nil {
		return err
	}
	return l.Close()
}
