module github.com/odoocache/odoocache

go 1.21

require (
	github.com/stretchr/testify v1.12.1
	github.com/traefik/yaegi v0.16.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
