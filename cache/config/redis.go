package config

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"time"

	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/resp"
)

// redis reads the options of the shared storage, nil where there is none.
func (p *problems) redis(c option.Redis) *resp.Options {
	p.unknown("redis.", c.Unknown)
	p.unknown("redis.sentinel.", c.Sentinel.Unknown)
	p.unknown("redis.cluster.", c.Cluster.Unknown)
	address := strings.TrimSpace(c.Address)
	password, secret := p.password("redis.", c.Password, c.PasswordFile, c.PasswordEnv)
	p.username("redis.username", c.Username)
	o := &resp.Options{
		Network: "tcp", Address: address,
		Username:    c.Username,
		Password:    password,
		Secret:      secret,
		DB:          p.number("redis.database", c.Database, 0, 1<<20),
		Timeout:     ms(p.between("redis.timeout", c.Timeout, 60*policy.Second)),
		DialTimeout: ms(p.between("redis.dialTimeout", c.DialTimeout, 60*policy.Second)),
		PoolSize:    p.number("redis.poolSize", c.PoolSize, 1, 10000),
		IdleTimeout: ms(p.between("redis.idleTimeout", c.IdleTimeout, policy.Day)),
		MaxReply:    int(p.size("redis.maxReplyBytes", c.MaxReplyBytes, 1<<20, 1<<30)),
		TLS:         p.tls("redis.tls.", c.TLS, address),
	}
	o.Sentinels = p.sentinels(c.Sentinel, o.TLS)
	p.addresses("redis.cluster.addresses", "redis.", c.Cluster.Addresses)
	if o.Sentinels != nil || len(c.Cluster.Addresses) > 0 {
		if address != "" || (o.Sentinels != nil && len(c.Cluster.Addresses) > 0) {
			p.add("redis.address", "more than one of address, sentinel and cluster is set; expected one")
		}
		if len(c.Cluster.Addresses) > 0 && o.DB != 0 {
			p.add("redis.database", "%d; expected 0, the only one of a cluster", o.DB)
		}
		return o
	}
	if o.Address == "" {
		if c.Username != "" || o.Password != "" || o.TLS != nil {
			p.add("redis.address", "is empty, but a username, password or tls is set; expected host:port")
		} else if o.DB != 0 {
			p.add("redis.database", "%d, but redis.address is empty; expected host:port there, or no database", o.DB)
		}
		return nil
	}
	if path := socketOf(address); path != "" {
		o.Network, o.Address = "unix", path
	} else if !isHostPort(address) {
		p.refuseAddress("redis.address", "redis.", address, anAddress)
	}
	return o
}

// sentinels reads who tells the master's address, nil if nobody has to. servers is how connections
// to servers are encrypted, which holds for sentinels where nothing else is said.
func (p *problems) sentinels(c option.Sentinel, servers *tls.Config) *resp.Sentinels {
	password, secret := p.password("redis.sentinel.", c.Password, c.PasswordFile, c.PasswordEnv)
	p.username("redis.sentinel.username", c.Username)
	p.addresses("redis.sentinel.addresses", "redis.sentinel.", c.Addresses)
	encryption := p.sentinelTLS(c.TLS, servers)
	if c.Master == "" && len(c.Addresses) == 0 {
		if c.Username != "" || password != "" || c.TLS.Enabled != "" {
			p.add("redis.sentinel.addresses", "is empty, but a username, password or tls is set; expected host:port of each sentinel")
		}
		return nil
	}
	if !isLine(c.Master) {
		p.add("redis.sentinel.master", "%q has a control character, or a blank around it; expected the name that the sentinels have for the master", c.Master)
	}
	if c.Master == "" {
		p.add("redis.sentinel.master", "is empty; expected the name that the sentinels have for the master")
	}
	if len(c.Addresses) == 0 {
		p.add("redis.sentinel.addresses", "is empty; expected host:port of each sentinel")
	}
	return &resp.Sentinels{
		Master: c.Master, Addresses: trimmed(c.Addresses), Username: c.Username, Password: password, Secret: secret, TLS: encryption,
	}
}

// sentinelTLS reads how connections to sentinels are encrypted: as those to servers, unless they
// have options of their own.
func (p *problems) sentinelTLS(c option.TLS, servers *tls.Config) *tls.Config {
	if c.Enabled != "" {
		return p.tls("redis.sentinel.tls.", c, "")
	}
	p.unknown("redis.sentinel.tls.", c.Unknown)
	p.boolean("redis.sentinel.tls.insecureSkipVerify", c.InsecureSkipVerify, false)
	if c.CAFile != "" || c.CertFile != "" || c.KeyFile != "" || c.ServerName != "" || c.InsecureSkipVerify != "" {
		p.add("redis.sentinel.tls.enabled", "is empty, which means redis.tls, but other options of redis.sentinel.tls are set; expected it to be given, true or false")
	}
	return servers
}

// username checks a name that may have been taken from where a secret is.
func (p *problems) username(path, name string) {
	if problem := badSecret(name); problem != "" {
		p.add(path, "%s", problem)
	}
}

func ms(n int64) time.Duration {
	return time.Duration(n) * time.Millisecond
}

// tls reads the options of an encrypted connection, nil where it is not enabled. address is empty
// where there are several.
func (p *problems) tls(path string, c option.TLS, address string) *tls.Config {
	p.unknown(path, c.Unknown)
	enabled := p.boolean(path+"enabled", c.Enabled, false)
	insecure := p.boolean(path+"insecureSkipVerify", c.InsecureSkipVerify, false)
	if !enabled {
		if c.CAFile != "" || c.CertFile != "" || c.KeyFile != "" || c.ServerName != "" || insecure {
			p.add(path+"enabled", "is false, but other options of tls are set; expected true")
		}
		return nil
	}
	t := &tls.Config{ServerName: c.ServerName, InsecureSkipVerify: insecure, MinVersion: tls.VersionTLS12} //nolint:gosec // the operator's choice, false by default
	if unix := socketOf(address) != ""; unix && t.ServerName == "" && !insecure {
		p.add(path+"serverName", "is empty; expected the name in the server's certificate, since redis.address has none")
	} else if !unix && t.ServerName == "" {
		if host, _, err := net.SplitHostPort(address); err == nil {
			t.ServerName = host
		}
	}
	if c.CAFile != "" {
		t.RootCAs = p.certificates(path+"caFile", c.CAFile)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		p.add(path+"certFile", "certFile and keyFile go together; expected both or none")
	} else if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			p.add(path+"certFile", "%v; expected a certificate and its key in PEM", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t
}

func (p *problems) certificates(path, file string) *x509.CertPool {
	pool := x509.NewCertPool()
	b, err := os.ReadFile(file)
	if err != nil {
		p.add(path, "%v; expected a readable file", err)
	} else if !pool.AppendCertsFromPEM(b) {
		p.add(path, "%q has no certificate in PEM", file)
	}
	return pool
}
