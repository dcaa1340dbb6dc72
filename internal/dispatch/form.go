package dispatch

// Form returns the Content-Type of a service's raw replies and the form in which
// JSON gives their frames; both are empty if nothing is configured.
func (d *Dispatcher) Form(service string) (contentType, reply string) {
	if spec, ok := d.cfg.Catalogue.Get(service); ok {
		return spec.ContentType, spec.Reply.String()
	}
	return "", ""
}
