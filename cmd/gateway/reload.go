package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/yamlnode"
)

// reloadable are the settings that a reload puts in force, beside the lists of the file: services, access
// and issuers. It never changes.
var reloadable = []string{
	"access", "access-file", "curve-allowed", "keys-file", "cors-origin", "log-level",
	"tls-cert", "tls-key", "tls-client-ca", "tls-client-auth", "tls-client-crl",
}

// A configuration is the settings of a command line, as they are now.
type configuration struct {
	*settings
	flags []*kong.Flag
}

// reread reads the settings of the same command line and environment once more:
// the files that they name may have changed.
func (p *process) reread() (configuration, error) {
	c := new(cli)
	again := &process{ctx: p.ctx, args: p.args, env: p.env, stdout: io.Discard, stderr: io.Discard, resolver: newResolver(p.env)}
	if err := again.parse(c, func(int) {}); err != nil {
		return configuration{}, err
	}
	return configuration{&c.Serve.settings, again.flags}, c.Serve.finish(again.resolver)
}

// reloadOn reloads at each signal, until ctx ends.
func (d *daemon) reloadOn(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-hangups:
			d.reload()
		case <-ctx.Done():
			return
		}
	}
}

// reload puts the configuration as it is now in force. One that is not valid
// changes nothing.
func (d *daemon) reload() {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	next, err := d.config.reread()
	var ignored []string
	if err == nil {
		ignored = d.ignored(next)
		err = d.apply(next.settings)
	}
	if err != nil && len(ignored) > 0 { // they may be what was to make it valid
		err = fmt.Errorf("%w (changed too, but need a restart: %s)", err, strings.Join(ignored, ", "))
	}
	d.badSettings = err != nil
	if err == nil {
		d.badCerts = false
	}
	d.tellReloaded()
	if err != nil {
		d.log.Error("the configuration is invalid, the previous one stays in force", zap.String("error", yamlnode.OneLine(err.Error())))
		return
	}
	d.log.Info("configuration reloaded",
		zap.Int("services", len(d.catalogue.Names())), zap.Int("principals", len(d.access.Expiries())), zap.Int("origins", len(next.CORSOrigin)))
	if len(ignored) > 0 {
		d.log.Warn("settings have changed that need a restart", zap.Strings("settings", ignored))
	}
	warn(d.log, d.settings.exposures()...)
	if d.certs != nil {
		warn(d.log, expired(d.certs.Set())...)
	}
	d.warnOfShortDrain()
}

// apply puts what can be reloaded in force, all of it or nothing. Services may
// refer to the brokers that run, not to those of the new configuration.
func (d *daemon) apply(next *settings) error {
	services, err := d.settings.parseServices(next, d.brokerNames)
	if err != nil {
		return err
	}
	if err := d.access.CheckReload(next.Principals, time.Now()); err != nil {
		return err
	}
	if err := d.checkTLSReload(next); err != nil {
		return err
	}
	level, err := zapcore.ParseLevel(next.LogLevel)
	if err != nil {
		return err
	}
	if err := d.api.Trust(next.CORSOrigin); err != nil {
		return err
	}
	if err := d.tokens.Swap(next.issuersOf()); err != nil {
		return err
	}
	if (d.settings.Curve == nil) != (next.Curve == nil) {
		return errors.New("curve-allowed is there now and was not, or the other way round: only a restart turns CURVE on or off")
	}
	// Nothing below can fail.
	if d.broker != nil && next.Curve != nil {
		d.broker.Allow(d.peers.with(next.Curve.Allowed))
		d.settings.Curve = next.Curve
	}
	d.rekey(next.Brokers)
	if d.audit != nil {
		d.audit.Reopen()
	}
	d.catalogue.Swap(services)
	d.access.Swap(next.Principals)
	if d.certs != nil {
		d.certs.Swap(next.Certs)
		d.settings.TLSClientAuth = next.TLSClientAuth
	}
	d.level.SetLevel(level)
	d.settings.Principals, d.settings.CORSOrigin = next.Principals, next.CORSOrigin
	return nil
}

// ignored returns the names of settings that differ from those at the start but
// can't be reloaded.
func (d *daemon) ignored(next configuration) (names []string) {
	before := effectiveValues(d.config.flags)
	for name, value := range effectiveValues(next.flags) {
		if before[name] != value && !slices.Contains(reloadable, name) {
			names = append(names, name)
		}
	}
	if !slices.EqualFunc(d.configured(), next.Brokers, alike) {
		names = append(names, brokersKey)
	}
	if !reflect.DeepEqual(d.settings.Login, next.Login) && !slices.Contains(names, consoleKey) {
		names = append(names, consoleKey)
	}
	slices.Sort(names)
	return names
}

// configured returns the brokers that run, but for the embedded one, which is no setting and was added, as the last, when it
// ran.
func (d *daemon) configured() []client.Endpoint {
	return slices.DeleteFunc(slices.Clone(d.settings.Brokers), func(b client.Endpoint) bool { return b.Name == embeddedName })
}

// alike reports whether two brokers differ in nothing but what a reload can put in force: their keys of CURVE.
func alike(a, b client.Endpoint) bool {
	if a.Curve != nil && b.Curve != nil {
		a.Curve = b.Curve
	}
	return reflect.DeepEqual(a, b)
}

// rekey gives brokers the keys that the configuration has for them now.
func (d *daemon) rekey(next []client.Endpoint) {
	for i, b := range d.configured() {
		if i < len(next) && b.Curve != nil && alike(b, next[i]) {
			d.pool.Rekey(i, next[i].Curve)
		}
	}
}

// effectiveValues returns the values of flags as --check prints them, by name.
func effectiveValues(flags []*kong.Flag) map[string]string {
	values := make(map[string]string)
	for _, f := range flags {
		switch f.Name {
		case "help", "config", "check", "broker": // the brokers are compared as such
		default:
			text, _ := yaml.Marshal(node(f)) // which --check has shown to work
			values[f.Name] = strings.TrimSpace(string(text))
		}
	}
	return values
}

// warnOfShortDrain says that calls may be cut off which are in time.
func (d *daemon) warnOfShortDrain() {
	longest, setBy := d.settings.Timeout, "timeout"
	for _, name := range d.catalogue.Names() {
		if spec, ok := d.catalogue.Get(name); ok && spec.Timeout > longest {
			longest, setBy = spec.Timeout, "services."+name+".timeout"
		}
	}
	if d.settings.Drain < longest {
		d.log.Warn("drain is shorter than the longest timeout: a shutdown may cut off calls that are in time",
			zap.Duration("drain", d.settings.Drain), zap.Duration("timeout", longest), zap.String("set_by", setBy))
	}
}
