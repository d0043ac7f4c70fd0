package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

const (
	defaultHost      = "registry.ollama.ai"
	defaultNamespace = "library"
)

var (
	errNotFound = errors.New("not found")
	errInvalid  = errors.New("invalid model name")
)

type layer struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifest struct {
	SchemaVersion int     `json:"schemaVersion"`
	MediaType     string  `json:"mediaType"`
	Config        layer   `json:"config"`
	Layers        []layer `json:"layers"`
}

// model is an entry of /api/tags.
type model struct {
	Name       string    `json:"name"`
	Model      string    `json:"model"`
	ModifiedAt time.Time `json:"modified_at"`
	Size       int64     `json:"size"`
	Digest     string    `json:"digest"`
	Details    details   `json:"details"`

	Capabilities []string `json:"capabilities,omitempty"`
}

type details struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
}

func (d details) embeds() bool { return strings.HasSuffix(d.Family, "bert") }

func (d details) capabilities() []string {
	if d.embeds() {
		return []string{"embedding"}
	}
	return []string{"completion"}
}

// readDetails reads the config blob; one that cannot be read is an ordinary model.
func readDetails(digest string) details {
	config := struct {
		Format   string   `json:"model_format"`
		Family   string   `json:"model_family"`
		Families []string `json:"model_families"`
		Type     string   `json:"model_type"`
		FileType string   `json:"file_type"`
	}{Format: "gguf", Family: "llama", Families: []string{"llama"}, Type: "115K", FileType: "F16"}
	if text, err := os.ReadFile(filepath.Join(modelsDir(), "blobs", strings.Replace(digest, ":", "-", 1))); err == nil {
		_ = json.Unmarshal(text, &config)
	}
	return details{
		Format: config.Format, Family: config.Family, Families: config.Families,
		ParameterSize: config.Type, QuantizationLevel: config.FileType,
	}
}

func modelsDir() string {
	if directory := os.Getenv("OLLAMA_MODELS"); directory != "" {
		return directory
	}
	return filepath.Join(os.Getenv("HOME"), ".ollama", "models")
}

// parts splits a model's name into host, namespace, name and tag, with the defaults filled in.
func parts(name string) []string {
	tag := "latest"
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name, tag = name[:colon], name[colon+1:]
	}
	fields := strings.Split(name, "/")
	full := []string{defaultHost, defaultNamespace}
	copy(full[max(0, 3-len(fields)):], fields[:max(0, len(fields)-1)])
	return append(full, fields[len(fields)-1], tag)
}

// short is the name as Ollama shows it: what is default is left out, but for the tag.
func short(full []string) string {
	name := full[2] + ":" + full[3]
	if full[0] != defaultHost {
		return full[0] + "/" + full[1] + "/" + name
	}
	if full[1] != defaultNamespace {
		return full[1] + "/" + name
	}
	return name
}

func manifestPath(full []string) string {
	return filepath.Join(append([]string{modelsDir(), "manifests"}, full...)...)
}

func readModel(full []string) (model, error) {
	text, err := os.ReadFile(manifestPath(full))
	if err != nil {
		return model{}, errNotFound
	}
	info, err := os.Stat(manifestPath(full))
	if err != nil {
		return model{}, err
	}
	var content manifest
	if err := json.Unmarshal(text, &content); err != nil {
		return model{}, err
	}
	size := content.Config.Size
	for _, part := range content.Layers {
		size += part.Size
	}
	name := short(full)
	digest := fmt.Sprintf("%x", sha256.Sum256(text))
	described := readDetails(content.Config.Digest)
	return model{
		Name: name, Model: name, ModifiedAt: info.ModTime(), Size: size, Digest: digest,
		Details: described, Capabilities: described.capabilities(),
	}, nil
}

// list is what /api/tags shows: newest first, and nothing that cannot be read.
func list() []model {
	if told := get("STANDIN_MODELS"); told != "" {
		return toldModels(told)
	}
	found := []model{}
	base := filepath.Join(modelsDir(), "manifests")
	_ = filepath.WalkDir(base, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		relative, _ := filepath.Rel(base, path)
		if full := strings.Split(relative, "/"); len(full) == 4 {
			if one, err := readModel(full); err == nil {
				found = append(found, one)
			}
		}
		return nil
	})
	sort.SliceStable(found, func(a, b int) bool { return found[a].ModifiedAt.After(found[b].ModifiedAt) })
	return found
}

func toldModels(told string) []model {
	found := []model{}
	for _, one := range strings.Split(told, ",") {
		name, digest, ok := strings.Cut(one, "=")
		name = short(parts(name))
		if !ok {
			digest = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
		}
		found = append(found, model{
			Name: name, Model: name, Size: 1000, Digest: digest, Details: readDetails(""), ModifiedAt: started,
		})
	}
	return found
}

// invalid is what Ollama refuses to look up at all: a name with a digest.
func invalid(name string) bool { return name == "" || strings.Contains(name, "@") }

func find(name string) (model, error) {
	if invalid(name) {
		return model{}, errInvalid
	}
	wanted := short(parts(name))
	for _, one := range list() {
		if strings.EqualFold(one.Name, wanted) {
			return one, nil
		}
	}
	return model{}, fmt.Errorf("model '%s' %w", name, errNotFound)
}

// create writes a model of one blob, as a pull does: blobs first, then the manifest in place.
func create(name, content string) error {
	blob := func(mediaType, text string) (layer, error) {
		digest := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		path := filepath.Join(modelsDir(), "blobs", "sha256-"+digest)
		err := os.WriteFile(path, []byte(text), 0o644)
		return layer{MediaType: mediaType, Digest: "sha256:" + digest, Size: int64(len(text))}, err
	}
	weights, err := blob("application/vnd.ollama.image.model", "stand-in weights of "+name+": "+content)
	if err != nil {
		return err
	}
	config, err := blob("application/vnd.docker.container.image.v1+json", `{"model_format":"gguf","model_family":"llama"}`)
	if err != nil {
		return err
	}
	text, _ := json.Marshal(manifest{
		SchemaVersion: 2, MediaType: "application/vnd.docker.distribution.manifest.v2+json",
		Config: config, Layers: []layer{weights},
	})
	path := manifestPath(parts(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

func decode[T any](from io.Reader) T {
	var value T
	_ = json.NewDecoder(from).Decode(&value)
	return value
}
