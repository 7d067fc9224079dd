//! What a correct CNI runtime does, line by line, and the tests that prove it: SPEC 1.1.0's musts,
//! libcni 1.3's behaviour where others rely on it, and what netrun does beyond. Comments in the
//! sources name the lines by these ids.
//!
//! Invariant: every line names tests that exist.

use std::fs;
use std::path::Path;

/// Id, what is done, and the functions that test it.
const CHECKLIST: &[(&str, &str, &[&str])] = &[
    // Loading a network by its name.
    (
        "L1",
        "files of a directory by their extension, not below it",
        &[
            "lists_come_first_then_single_plugins_each_by_file_name",
            "an_absent_or_empty_directory_holds_nothing",
        ],
    ),
    (
        "L2",
        "the first list of that name, by file name",
        &[
            "lists_come_first_then_single_plugins_each_by_file_name",
            "files_of_every_kind",
        ],
    ),
    (
        "L3",
        "else the first single plugin, made a list of one",
        &[
            "a_single_plugin_becomes_a_list_of_one",
            "files_of_every_kind",
        ],
    ),
    (
        "L4",
        "an empty directory and an unknown name are told apart",
        &[
            "an_absent_or_empty_directory_holds_nothing",
            "an_unknown_network_lists_the_known_ones",
        ],
    ),
    (
        "L5",
        "a broken file hides no network",
        &["a_broken_file_is_no_obstacle_unless_it_is_the_wanted_one"],
    ),
    (
        "L6",
        "the default network is a file that never comes first",
        &[
            "it_is_made_once_by_whoever_comes_first",
            "it_is_what_the_engine_relies_on",
        ],
    ),
    (
        "L7",
        "nerdctl's directories and locks are passed over",
        &["lists_come_first_then_single_plugins_each_by_file_name"],
    ),
    (
        "L8",
        "the keys of a list and their kinds",
        &[
            "each_flaw_is_named",
            "booleans_may_be_texts",
            "keys_of_a_configuration",
        ],
    ),
    (
        "L9",
        "no plugins are an error",
        &["each_flaw_is_named", "configurations"],
    ),
    (
        "L10",
        "plugins in files beside the list",
        &[
            "plugins_beside_the_list_are_appended_and_kept_in_its_bytes",
            "files_of_every_kind",
        ],
    ),
    (
        "L11",
        "the file's bytes and unknown keys are kept",
        &[
            "a_list_keeps_its_bytes_and_all_its_keys",
            "unknown_keys_survive",
        ],
    ),
    (
        "L12",
        "the highest version that is offered and known",
        &["the_highest_known_version_is_chosen", "files_of_every_kind"],
    ),
    (
        "N1",
        "lowered to what all plugins speak, within the offer",
        &["the_version_is_lowered_to_what_all_plugins_speak"],
    ),
    // Validation.
    (
        "V1",
        "container ids and network names",
        &["ids_and_names_are_words", "words"],
    ),
    (
        "V2",
        "interface names",
        &["interface_names_keep_the_kernels_rules", "words"],
    ),
    (
        "V3",
        "types, and the programs of their names",
        &[
            "a_plugin_type_is_a_file_name",
            "programs_are_regular_files_in_the_order_of_the_directories",
        ],
    ),
    (
        "V5",
        "one attachment for a container id and interface",
        &[
            "a_second_interface_of_the_same_name_is_refused",
            "a_namespace_is_found_by_both_of_its_names",
            "the_order_of_verbs",
        ],
    ),
    // Executing a plugin.
    (
        "E1",
        "the environment",
        &[
            "the_environment",
            "five_plugins_through_all_verbs",
            "path_gets_what_it_lacks",
        ],
    ),
    (
        "E2",
        "CNI_ARGS",
        &[
            "args_are_pairs_with_exactly_one_equals_sign",
            "five_plugins_through_all_verbs",
        ],
    ),
    (
        "E3",
        "streams and deadline",
        &[
            "a_hanging_plugin_is_killed_with_its_children_and_undone",
            "what_a_succeeding_plugin_says_is_handed_on",
            "large_input_and_input_that_nobody_reads_are_no_trouble",
        ],
    ),
    (
        "E4",
        "never the host's own namespace",
        &["bad_parameters_reach_no_plugin", "words"],
    ),
    (
        "E5",
        "how a plugin failed",
        &[
            "each_way_to_fail_is_told_apart",
            "any_error_object_is_read",
            "plugins",
        ],
    ),
    (
        "E6",
        "a program that is being written",
        &["a_program_being_written_is_waited_for"],
    ),
    (
        "E7",
        "codes; 11 is tried again",
        &["try_again_later_is_done", "a_failed_add"],
    ),
    // The request.
    (
        "R1",
        "the plugin's object with the list's name and version",
        &[
            "a_plugin_sees_the_lists_name_and_version_and_only_what_it_declares",
            "five_plugins_through_all_verbs",
        ],
    ),
    (
        "R2",
        "the previous result",
        &[
            "add_goes_forward_and_del_back_with_the_final_result",
            "five_plugins_through_all_verbs",
        ],
    ),
    (
        "R3",
        "runtimeConfig has what is declared",
        &[
            "a_plugin_sees_the_lists_name_and_version_and_only_what_it_declares",
            "five_plugins_through_all_verbs",
        ],
    ),
    (
        "R4",
        "capabilities stay in, as with libcni",
        &["five_plugins_through_all_verbs"],
    ),
    (
        "R5",
        "GC's attachments under both keys",
        &["gc_names_the_valid_attachments_twice", "garbage_collection"],
    ),
    (
        "R6",
        "capability values are passed on as they are",
        &["five_plugins_through_all_verbs"],
    ),
    // Results.
    (
        "S1",
        "an object of a known version",
        &[
            "rubbish_is_refused",
            "the_version_comes_from_the_result_then_the_configuration",
            "results",
        ],
    ),
    (
        "S2",
        "a previous result is in the configuration's version",
        &["results_in_another_version_than_the_configuration"],
    ),
    (
        "S3",
        "1.x and 0.3 to 0.4",
        &[
            "current_to_early_adds_families_and_drops_what_is_unknown_there",
            "conversion_there_and_back_loses_nothing",
        ],
    ),
    (
        "S4",
        "0.1 and 0.2",
        &[
            "legacy_has_the_first_address_of_each_family_with_its_routes",
            "without_an_address_there_is_no_legacy_result",
        ],
    ),
    (
        "S5",
        "what 1.1 says; an empty dns is left out",
        &[
            "accessors_read_what_is_there",
            "every_version",
            "anothers_result_is_refused",
        ],
    ),
    (
        "S6",
        "the container's own addresses",
        &["accessors_read_what_is_there"],
    ),
    (
        "S7",
        "name servers; unknown keys stay",
        &[
            "a_single_plugin_conf_and_a_result_with_dns",
            "conversion_there_and_back_loses_nothing",
            "five_plugins_through_all_verbs",
        ],
    ),
    // ADD.
    (
        "A1",
        "the namespace is there, with lo up",
        &[
            "several_networks_in_the_order_given",
            "both_tools_make_list_enter_and_remove",
        ],
    ),
    (
        "A2",
        "in the list's order until one fails",
        &[
            "add_goes_forward_and_del_back_with_the_final_result",
            "a_failed_add",
        ],
    ),
    (
        "A3",
        "a failed ADD is undone by DEL",
        &[
            "a_failed_add_is_undone_with_the_last_good_result",
            "a_failed_add",
            "a_chain_that_fails_in_its_middle_is_undone",
        ],
    ),
    (
        "A4",
        "the cache is part of it",
        &["a_result_that_cannot_be_kept_is_undone"],
    ),
    (
        "A5",
        "a container's networks one after the other",
        &["several_networks_in_the_order_given"],
    ),
    // DEL.
    (
        "D1",
        "in reverse, with the configuration that ADD saw",
        &[
            "del_uses_the_configuration_that_add_saw",
            "what_changed_since_the_add",
            "the_same_bytes_for_del_whatever_became_of_the_file",
        ],
    ),
    (
        "D2",
        "with the final result from 0.4.0 on",
        &[
            "del_of_old_versions_has_no_previous_result",
            "every_version",
            "a_cache_that_another_wrote",
        ],
    ),
    (
        "D3",
        "with the arguments of ADD",
        &[
            "add_goes_forward_and_del_back_with_the_final_result",
            "what_changed_since_the_add",
        ],
    ),
    (
        "D4",
        "also when the namespace is gone",
        &["del_finishes_though_the_namespace_or_the_file_is_gone"],
    ),
    (
        "D5",
        "once more after a failure, and the others all the same",
        &[
            "del_goes_on_after_a_failure_and_keeps_the_cache",
            "a_failed_del",
            "removal_succeeds_though_the_rules_were_flushed",
        ],
    ),
    (
        "D6",
        "as often as one likes",
        &[
            "the_order_of_verbs",
            "del_finishes_though_the_namespace_or_the_file_is_gone",
        ],
    ),
    // CHECK, STATUS, GC, VERSION.
    (
        "C1",
        "CHECK",
        &[
            "check_status_and_gc_reach_the_plugins_that_have_them",
            "every_version",
            "files_of_every_kind",
        ],
    ),
    (
        "C2",
        "STATUS",
        &[
            "check_status_and_gc_reach_the_plugins_that_have_them",
            "status_and_version",
        ],
    ),
    (
        "C3",
        "GC leaves to others what is theirs",
        &[
            "gc_leaves_to_others_what_is_theirs",
            "gc_detaches_what_is_unwanted_and_nothing_else",
            "garbage_collection",
        ],
    ),
    (
        "C5",
        "VERSION",
        &[
            "versions_of_new_and_old_plugins_are_read",
            "status_and_version",
        ],
    ),
    // The result cache.
    (
        "K1",
        "the file's place, name and mode",
        &["the_file_is_libcnis", "other_tools_see_what_we_do"],
    ),
    (
        "K2",
        "libcni's object",
        &["the_file_is_libcnis", "five_plugins_through_all_verbs"],
    ),
    (
        "K3",
        "what is empty is left out",
        &["the_file_is_libcnis", "every_version"],
    ),
    (
        "K4",
        "other kinds, bare results, rubbish",
        &[
            "listing_passes_over_what_is_no_attachment",
            "a_cache_that_another_wrote",
            "cache_files",
        ],
    ),
    (
        "K5",
        "kept arguments count",
        &["the_file_is_libcnis", "what_changed_since_the_add"],
    ),
    (
        "K6",
        "nothing else stands in that directory",
        &[
            "the_file_is_libcnis",
            "listing_passes_over_what_is_no_attachment",
        ],
    ),
    (
        "K7",
        "the directory is a setting of the chain",
        &["add_goes_forward_and_del_back_with_the_final_result"],
    ),
    // cnitool.
    (
        "T1",
        "the container id from the path",
        &[
            "names_are_what_the_plugins_derive",
            "paths_are_cleaned_by_their_words",
        ],
    ),
    (
        "T2",
        "each undoes what the other did",
        &[
            "what_one_adds_the_other_checks_and_deletes",
            "the_typed_sequence",
        ],
    ),
    (
        "T3",
        "an attachment is found by its namespace",
        &[
            "a_namespace_is_found_by_both_of_its_names",
            "run_and_var_run_name_the_same",
        ],
    ),
    (
        "T4",
        "the environment of cnitool",
        &[
            "words_and_variables_that_mean_nothing",
            "capability_args_are_an_object",
        ],
    ),
    // What DEL could not reach.
    (
        "W1",
        "host-local's files",
        &["only_what_carries_the_containers_id_goes"],
    ),
    (
        "W2",
        "masquerading",
        &[
            "names_are_what_the_plugins_derive",
            "nft_rules_are_known_by_their_comment",
        ],
    ),
    (
        "W3",
        "published ports",
        &[
            "chains_are_removed_with_the_jumps_to_them_and_nothing_else",
            "nft_rules_are_known_by_their_comment",
        ],
    ),
    (
        "W4",
        "firewall's rules by address",
        &[
            "forwarding_rules_are_known_by_their_whole_address",
            "an_address_of_the_result_counts_unless_another_holds_it_by_now",
            "del_finishes_though_the_namespace_or_the_file_is_gone",
        ],
    ),
    (
        "W5",
        "bandwidth's device, tuning's backup",
        &[
            "only_what_carries_the_containers_id_goes",
            "del_finishes_though_the_namespace_or_the_file_is_gone",
        ],
    ),
    (
        "W6",
        "a veth whose namespace somebody keeps",
        &["del_finishes_though_the_namespace_or_the_file_is_gone"],
    ),
    // Locks.
    (
        "X2",
        "GC is alone",
        &["the_first_attachment_is_made_alone_and_the_others_side_by_side"],
    ),
    (
        "X3",
        "a network's first attachment is alone",
        &["the_first_attachment_is_made_alone_and_the_others_side_by_side"],
    ),
    (
        "X4",
        "the directory of namespaces as iproute2 has it",
        &["both_tools_make_list_enter_and_remove"],
    ),
];

fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => sources(&path, text),
            path if path.extension().is_some_and(|end| end == "rs") => {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
            _ => {}
        }
    }
}

#[test]
fn every_line_has_its_tests() {
    let mut text = String::new();
    for directory in ["src", "tests"] {
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(directory),
            &mut text,
        );
    }
    let mut wrong = Vec::new();
    for (index, (id, _, tests)) in CHECKLIST.iter().enumerate() {
        if CHECKLIST[..index].iter().any(|(other, _, _)| other == id) {
            wrong.push(format!("{id} stands here twice"));
        }
        for test in *tests {
            if !text.contains(&format!("fn {test}(")) {
                wrong.push(format!("{id}: there is no test {test}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
