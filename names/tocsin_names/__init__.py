"""The weights of the recogniser of names; `tocsin.admission.recogniser` reads the files here."""
