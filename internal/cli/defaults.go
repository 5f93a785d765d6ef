package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
)

// defaults are the values of a defaults.json, by flag name. A repeatable flag may have
// several.
type defaults struct {
	path   string
	values map[string][]string
}

// readDefaults reads a defaults.json. A missing file is an empty one.
func readDefaults(path string) (*defaults, error) {
	d := &defaults{path: path, values: map[string][]string{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read defaults: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		return nil, fmt.Errorf("read defaults %s: %w", path, err)
	}
	for name, value := range members {
		if list, ok := value.([]any); ok {
			for _, item := range list {
				if s, ok := scalar(item); ok {
					d.values[name] = append(d.values[name], s)
				}
			}
		} else if s, ok := scalar(value); ok {
			d.values[name] = []string{s}
		}
	}
	return d, nil
}

// scalar is the text of a string, number or boolean; anything deeper is not for us.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// overlay puts the values of other on top.
func (d *defaults) overlay(other *defaults) {
	if len(other.values) > 0 {
		d.path = other.path
	}
	maps.Copy(d.values, other.values)
}

// contextKeys can't be defaults: they choose which defaults are read.
var contextKeys = []string{"context", "profile", "authority"}

// loadDefaults reads the defaults of this call: those of the authority below those of the
// profile when a context is current, else one file.
func (e *Env) loadDefaults(set *flags) (*defaults, error) {
	if e.Home.Context() == nil {
		path := set.global.config
		if path == "" {
			path = e.Home.Path("config", "defaults.json")
		}
		return readDefaults(path)
	}
	d, err := readDefaults(e.Home.Path("config", "defaults.json"))
	if err != nil {
		return nil, err
	}
	profile, err := readDefaults(e.Home.Profile("config", "defaults.json"))
	if err != nil {
		return nil, err
	}
	d.overlay(profile)
	for _, key := range contextKeys {
		if _, ok := d.values[key]; ok {
			e.Warn("%q in the defaults of context %s is ignored", key, e.Home.Context().Name)
			delete(d.values, key)
		}
	}
	return d, nil
}

// fill gives every flag that is not on the command line its value from the environment, or
// else from the defaults.
func (fs *flags) fill(e *Env) error {
	for _, f := range fs.list {
		if err := f.fillFromEnvironment(e); err != nil {
			return err
		}
	}
	d, err := e.loadDefaults(fs)
	if err != nil {
		return err
	}
	for _, f := range fs.list {
		if f.from != fromNowhere || f.env == nil {
			continue
		}
		for _, name := range append([]string{f.name}, f.aliases...) {
			values, ok := d.values[name]
			if !ok {
				continue
			}
			if err := f.take(values, fromDefaults, d.path); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

func (f *flag) fillFromEnvironment(e *Env) error {
	if f.from != fromNowhere {
		return nil
	}
	for _, name := range f.env {
		value, variable := e.variable(name)
		if variable == "" {
			continue
		}
		values := []string{value}
		if f.repeats {
			values = strings.Split(value, ",")
		}
		return f.take(values, fromEnvironment, variable)
	}
	return nil
}

// take sets the flag to values that did not come from the command line.
func (f *flag) take(values []string, from source, where string) error {
	f.reset()
	for _, value := range values {
		if f.repeats && from == fromEnvironment {
			value = strings.TrimSpace(value)
		}
		if err := f.set(value); err != nil {
			return usagef("invalid value %q for flag %s in %s: %v", value, dashed(f.name), where, err)
		}
	}
	f.from = from
	return nil
}
