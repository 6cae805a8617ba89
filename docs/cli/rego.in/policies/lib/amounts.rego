package lib.amounts

most := 50

large(amount) if amount > most
