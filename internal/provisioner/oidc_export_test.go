package provisioner

// KeysOf are the keys of an opened OIDC provisioner, for tests.
func KeysOf(p *Provisioner) *Published { return &Published{p.kind.(*OIDC).keys} }
