// Command geoip writes a database of countries for tests, in the format of MaxMind that
// Odoo reads (option geoip_city_db): two networks of documentation (RFC 5737), one in
// France, one in the United States. No other address has a country.
package main

import (
	"log"
	"net"
	"os"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// place is a network and where it is said to be.
type place struct {
	network, code, country, continent, continentName, zone, city string
	latitude, longitude                                          float64
}

var places = []place{
	{"198.51.100.0/24", "FR", "France", "EU", "Europe", "Europe/Paris", "Paris", 48.85, 2.35},
	{"203.0.113.0/24", "US", "United States", "NA", "North America", "America/New_York", "New York", 40.71, -74.0},
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: geoip FILE")
	}
	if err := write(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func write(path string) error {
	// Networks of documentation are reserved, which the writer refuses if not told otherwise.
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	for _, p := range places {
		_, network, err := net.ParseCIDR(p.network)
		if err != nil {
			return err
		}
		if err := tree.Insert(network, p.record()); err != nil {
			return err
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := tree.WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}

func names(english string) mmdbtype.Map {
	return mmdbtype.Map{"en": mmdbtype.String(english)}
}

// record is what the database says of a place.
func (p place) record() mmdbtype.Map {
	country := mmdbtype.Map{"iso_code": mmdbtype.String(p.code), "names": names(p.country)}
	return mmdbtype.Map{
		"city":               mmdbtype.Map{"names": names(p.city)},
		"continent":          mmdbtype.Map{"code": mmdbtype.String(p.continent), "names": names(p.continentName)},
		"country":            country,
		"registered_country": country,
		"location": mmdbtype.Map{
			"latitude": mmdbtype.Float64(p.latitude), "longitude": mmdbtype.Float64(p.longitude), "time_zone": mmdbtype.String(p.zone),
		},
	}
}
