// SPDX-License-Identifier: GPL-2.0-only

// A program that uses resctrl by way of goresctrl, as container engines do: makes classes from a configuration, puts a process
// into one, reads what the library has found and counted, and takes the classes away again. Scenario `peers` runs it.
package main

import (
	"fmt"
	"os"
	"sort"

	"github.com/intel/goresctrl/pkg/rdt"
)

const configuration = `
partitions:
  reserved:
    l3Allocation: "75%"
    classes:
      gold:
        l3Allocation: "100%"
  shared:
    l3Allocation: "25%"
    classes:
      bronze:
        l3Allocation: "100%"
`

const empty = "partitions: {}\n"

func try(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

// classes prints all there are, with how many processes each has, and what is counted for it.
func classes() {
	for _, class := range rdt.GetClasses() {
		var counted []string
		for domain, values := range class.GetMonData().L3 {
			for event := range values {
				counted = append(counted, fmt.Sprintf("%d/%s", domain, event))
			}
		}
		sort.Strings(counted)
		pids, err := class.GetPids()
		try("reading the processes of "+class.Name(), err)
		fmt.Printf("class %s, %d of mine, counted: %v\n", class.Name(), mine(pids), counted)
	}
}

// mine is how many of these processes are this one.
func mine(pids []string) int {
	count := 0
	for _, pid := range pids {
		if pid == fmt.Sprint(os.Getpid()) {
			count++
		}
	}
	return count
}

func main() {
	try("Initialize", rdt.Initialize("go."))
	fmt.Printf("monitoring: %v, %v\n", rdt.MonSupported(), rdt.GetMonFeatures())
	try("SetConfigFromData", rdt.SetConfigFromData([]byte(configuration), false))
	gold, found := rdt.GetClass("gold")
	if !found {
		fmt.Println("there is no class gold")
		os.Exit(1)
	}
	try("AddPids", gold.AddPids(fmt.Sprint(os.Getpid())))
	_, err := gold.CreateMonGroup("watched", nil)
	try("CreateMonGroup", err)
	classes()
	for _, place := range []string{"go.gold", "go.bronze"} {
		schemata, err := os.ReadFile("/sys/fs/resctrl/" + place + "/schemata")
		try("reading schemata", err)
		fmt.Printf("%s:\n%s", place, schemata)
	}
	// It must leave the class before that can go.
	try("AddPids", root().AddPids(fmt.Sprint(os.Getpid())))
	try("SetConfigFromData, empty", rdt.SetConfigFromData([]byte(empty), true))
	classes()
}

func root() rdt.CtrlGroup {
	class, found := rdt.GetClass(rdt.RootClassName)
	if !found {
		fmt.Println("there is no root class")
		os.Exit(1)
	}
	return class
}
